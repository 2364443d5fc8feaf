#include "tests/fuzz/fuzzing.h"

#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "common/utf8.h"
#include "tests/support/vocabulary_writer.h"

namespace llama::fuzzing {
namespace {

constexpr int64_t kMaxPromptBytes = 4096;

std::unique_ptr<const Tokenizer> LoadMixed() {
  const std::string path = absl::StrCat("/tmp/lnb_fuzz_vocabulary.", getpid());
  FUZZ_CHECK(std::ofstream(path, std::ios::binary) << MixedVocabulary().SerializeAsString());
  auto tokenizer = Tokenizer::Load(path, kMaxPromptBytes);
  std::filesystem::remove(path);
  return *std::move(tokenizer);
}

}  // namespace

const Tokenizer& GetTokenizer(int which) {
  static const auto& tokenizers = *new std::array<std::unique_ptr<const Tokenizer>, 2>{
      Tokenizer::Load(LLAMA_TEST_DATA "/stories260K/tokenizer.model", kMaxPromptBytes).value(),
      LoadMixed()};
  return *tokenizers[static_cast<size_t>(which)];
}

std::string Repaired(absl::string_view text) {
  std::string repaired;
  while (!text.empty()) {
    const size_t bytes = FirstChar(text).bytes;
    absl::StrAppend(&repaired, bytes == 0 ? kReplacement : text.substr(0, bytes));
    text.remove_prefix(std::max<size_t>(bytes, 1));
  }
  return repaired;
}

}  // namespace llama::fuzzing
