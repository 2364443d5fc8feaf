#include "tests/forged/cases.h"

#include <fstream>
#include <iterator>
#include <memory>
#include <utility>

namespace llama::forged {

std::vector<Case> AllCases() {
  std::vector<Case> all;
  for (auto* const kind :
       {ZipCases, PickleCases, TensorCases, ParamsCases, TokenizerCases, FileCases}) {
    std::vector<Case> cases = kind();
    std::move(cases.begin(), cases.end(), std::back_inserter(all));
  }
  return all;
}

const TinyModel& SmallModel() {
  static const TinyModel model = {
      .dim = 4, .n_layers = 1, .n_heads = 1, .n_kv_heads = 1, .vocab_size = 3, .multiple_of = 2};
  return model;
}

TorchParts SmallParts() {
  static const TorchParts& parts =
      *new TorchParts(MakeTorchParts(TinyTensors(SmallModel()), SmallModel().type));
  return parts;
}

void WriteFile(const std::string& folder, const std::string& name, const std::string& content) {
  EXPECT_TRUE(std::ofstream(folder + "/" + name, std::ios::binary) << content) << name;
}

std::function<void(const std::string&)> WithWeights(std::string weights) {
  // Shared by the copies of the case.
  return [weights =
              std::make_shared<const std::string>(std::move(weights))](const std::string& folder) {
    WriteFile(folder, kParams, TinyParams(SmallModel()));
    WriteFile(folder, kWeights, *weights);
  };
}

}  // namespace llama::forged
