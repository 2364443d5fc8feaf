// Vocabularies that no trainer made (scores tied, pieces that cannot be reached, unused and
// user-defined ones, no blank in front) against libsentencepiece: every id, every decoded text.
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gtest/gtest.h"
#include "services/tokenizer/tokenizer.h"
#include "tests/support/sentencepiece.h"
#include "tests/support/temp_folder.h"
#include "tests/support/vocabulary_writer.h"

namespace llama {
namespace {

using Piece = files::SentencePieceModel::Piece;

class Random {
 public:
  explicit Random(uint32_t seed) : engine_(seed) {}
  uint32_t Below(uint32_t n) { return engine_() % n; }
  // Of few characters, so that pieces and their parts meet often.
  std::string Text(uint32_t length, bool blanks_as_symbols) {
    static const char* const kCharacters[] = {"a", "b", "c", "a", "b", "é", "👀", " "};
    std::string text;
    for (uint32_t i = 0; i < length; ++i) {
      const std::string character = kCharacters[Below(8)];
      text += character == " " && blanks_as_symbols ? "▁" : character;
    }
    return text;
  }

 private:
  std::mt19937 engine_;
};

files::SentencePieceModel Draw(Random& random) {
  files::SentencePieceModel model = MinimalVocabulary();
  model.mutable_normalizer_spec()->set_add_dummy_prefix(random.Below(4) != 0);
  if (random.Below(3) == 0) model.mutable_trainer_spec()->set_unk_surface("?");
  const bool with_unused = random.Below(2) == 0;
  const bool with_user_defined = random.Below(2) == 0;
  std::set<std::string> spellings;
  for (uint32_t i = 0, count = 1 + random.Below(120); i < count; ++i) {
    const std::string spelling = random.Text(1 + random.Below(random.Below(4) == 0 ? 8 : 3), true);
    if (!spellings.insert(spelling).second) continue;
    int type = Piece::NORMAL;
    if (with_unused && random.Below(4) == 0) type = Piece::UNUSED;
    if (with_user_defined && random.Below(8) == 0) type = Piece::USER_DEFINED;
    AddPiece(model, spelling, -static_cast<float>(random.Below(20)), type);
  }
  return model;
}

class RandomVocabularyTest : public testing::TestWithParam<uint32_t> {};

TEST_P(RandomVocabularyTest, EveryIdAndEveryTextIsTheSame) {
  Random random(GetParam());
  const TempFolder folder;
  const files::SentencePieceModel model = Draw(random);
  const std::string path = folder.Write("tokenizer.model", model.SerializeAsString());
  const auto tokenizer = Tokenizer::Load(path, 1'000'000);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  const auto size = static_cast<uint32_t>((*tokenizer)->vocabulary().size());
  std::vector<std::string> texts;
  std::vector<std::vector<TokenId>> lists;
  std::vector<std::string> questions;
  for (int i = 0; i < 300; ++i) {
    texts.push_back(random.Text(random.Below(40), random.Below(8) == 0));
    if (random.Below(8) == 0)
      texts.back().insert(random.Below(3) % (texts.back().size() + 1), "\xF0");
    questions.push_back("e " + absl::BytesToHexString(texts.back()));
  }
  for (int i = 0; i < 300; ++i) {
    lists.emplace_back();
    for (uint32_t n = random.Below(10); n > 0; --n) {
      lists.back().push_back(random.Below(3) == 0 ? random.Below(259) : random.Below(size));
    }
    questions.push_back("d " + absl::StrJoin(lists.back(), " "));
  }
  const std::vector<std::string> answers = Ask(path, questions);
  for (size_t i = 0; i < texts.size(); ++i) {
    const Encoding encoding = (*tokenizer)->EncodeText(texts[i], {.add_bos = false}).value();
    std::string ours;
    for (const TokenId id : encoding.ids) absl::StrAppend(&ours, id, " ");
    ASSERT_EQ(ours, answers[i]) << absl::CHexEscape(texts[i]);
  }
  for (size_t i = 0; i < lists.size(); ++i) {
    ASSERT_EQ(absl::BytesToHexString((*tokenizer)->Decode(lists[i], false)->text),
              answers[texts.size() + i])
        << questions[texts.size() + i];
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomVocabularyTest, testing::Range(1U, 41U));

}  // namespace
}  // namespace llama
