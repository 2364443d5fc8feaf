#ifndef LLAMA_TESTS_FORGED_CASES_H_
#define LLAMA_TESTS_FORGED_CASES_H_

#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/model_writer.h"

// Files made to mislead, and good twins of them, which differ in what was forged only.
namespace llama::forged {

enum class Reader { kModel, kTokenizer };

struct Case {
  std::string name;  // A folder's name: letters, digits, '_' and '-'.
  Reader reader = Reader::kModel;
  // What the refusal must hold, the file's name first; empty for a good twin, which must load.
  std::vector<std::string> expected;
  // Writes the files into an empty folder.
  std::function<void(const std::string& folder)> write;
};

// For messages of the tests.
inline void PrintTo(const Case& forged, std::ostream* out) { *out << forged.name; }

// Each kind of forgery with its twins.
std::vector<Case> ZipCases();
std::vector<Case> PickleCases();
std::vector<Case> TensorCases();
std::vector<Case> ParamsCases();
std::vector<Case> TokenizerCases();
std::vector<Case> FileCases();

// All of them.
std::vector<Case> AllCases();

// --- What the cases are made of.

inline const char kParams[] = "params.json";
inline const char kWeights[] = "consolidated.00.pth";
inline const char kTokenizer[] = "tokenizer.model";

// The smallest model there is: dim 4, one layer, three tokens.
const TinyModel& SmallModel();
TorchParts SmallParts();

void WriteFile(const std::string& folder, const std::string& name, const std::string& content);
// A folder with SmallModel()'s params.json and these weights.
std::function<void(const std::string&)> WithWeights(std::string weights);
// A number as the formats store it.
template <typename T>
std::string Bytes(T number) {
  return std::string(reinterpret_cast<const char*>(&number), sizeof number);
}

}  // namespace llama::forged

#endif  // LLAMA_TESTS_FORGED_CASES_H_
