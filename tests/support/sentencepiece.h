#ifndef LLAMA_TESTS_SUPPORT_SENTENCEPIECE_H_
#define LLAMA_TESTS_SUPPORT_SENTENCEPIECE_H_

#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gtest/gtest.h"

namespace llama {

// Asks sentencepiece_oracle.cc all questions at once: lines as it reads them. Returns its lines,
// one for each.
inline std::vector<std::string> Ask(const std::string& model,
                                    const std::vector<std::string>& questions) {
  const std::string questions_path = absl::StrCat(testing::TempDir(), "questions.", getpid());
  const std::string answers_path = absl::StrCat(testing::TempDir(), "answers.", getpid());
  std::ofstream(questions_path) << absl::StrJoin(questions, "\n") << "\n";
  const std::string command = absl::StrCat(LLAMA_SENTENCEPIECE_ORACLE, " ", model, " < ",
                                           questions_path, " > ", answers_path);
  EXPECT_EQ(std::system(command.c_str()), 0);  // NOLINT(cert-env33-c): all words are our own.
  std::ifstream file(answers_path);
  std::vector<std::string> answers;
  for (std::string line; std::getline(file, line);) answers.push_back(line);
  EXPECT_EQ(answers.size(), questions.size());
  answers.resize(questions.size());
  return answers;
}

}  // namespace llama

#endif  // LLAMA_TESTS_SUPPORT_SENTENCEPIECE_H_
