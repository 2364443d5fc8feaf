#include "services/tokenizer/vocabulary.h"

#include "common/read_file.h"
#include "gtest/gtest.h"

namespace llama {
namespace {

std::string StoriesFile() {
  return ReadFile(std::string(LLAMA_TEST_DATA) + "/stories260K/tokenizer.model",
                  kMaxVocabularyFileBytes)
      .value();
}

TEST(VocabularyTest, AFileCutAnywhereIsRefusedByName) {
  const std::string file = StoriesFile();
  ASSERT_TRUE(Vocabulary::Parse(file, "whole").ok());
  for (size_t size = 0; size < file.size(); ++size) {
    const auto cut = Vocabulary::Parse(absl::string_view(file).substr(0, size), "cut.model");
    // The trainer's and the normalizer's settings come last: without them it is another vocabulary.
    ASSERT_FALSE(cut.ok()) << "cut at byte " << size;
    ASSERT_EQ(cut.status().message().substr(0, 10), "cut.model:") << cut.status();
  }
}

TEST(VocabularyTest, ADamagedFileNeverCrashes) {
  const std::string file = StoriesFile();
  for (size_t at = 0; at < file.size(); at += 7) {
    std::string damaged = file;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x55);
    (void)Vocabulary::Parse(damaged, "damaged.model");
  }
}

}  // namespace
}  // namespace llama
