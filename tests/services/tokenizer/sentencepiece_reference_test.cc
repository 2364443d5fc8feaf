// Compares with libsentencepiece, which made the vocabularies: every id, and every decoded text.

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gtest/gtest.h"
#include "services/tokenizer/tokenizer.h"
#include "tests/support/sentencepiece.h"

namespace llama {
namespace {

constexpr int kStrings = 6000;

void AppendUtf8(uint32_t c, std::string& out) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xC0 | c >> 6);
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xE0 | c >> 12);
    out += static_cast<char>(0x80 | (c >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | c >> 18);
    out += static_cast<char>(0x80 | (c >> 12 & 0x3F));
    out += static_cast<char>(0x80 | (c >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  }
}

// Strings of every kind: scripts, emoji, runs of white space, control characters, broken UTF-8,
// pieces of the vocabulary glued together, spelled-out control tokens.
class StringMaker {
 public:
  explicit StringMaker(const Vocabulary& vocabulary) : vocabulary_(vocabulary) {}

  std::string Make() {
    std::string text;
    const int parts = Below(12);
    for (int i = 0; i < parts; ++i) AppendPart(text);
    return text;
  }

 private:
  int Below(int n) { return static_cast<int>(random_() % static_cast<uint32_t>(n)); }

  void AppendPart(std::string& text) {
    static constexpr uint32_t kScripts[][2] = {
        {0x20, 0x7E},     {0xA0, 0x24F},    {0x370, 0x3FF},     {0x400, 0x4FF},
        {0x590, 0x5FF},   {0x600, 0x6FF},   {0x900, 0x97F},     {0xE00, 0xE7F},
        {0x1100, 0x11FF}, {0x2000, 0x206F}, {0x2190, 0x21FF},   {0x2580, 0x259F},
        {0x3040, 0x30FF}, {0x4E00, 0x9FFF}, {0xAC00, 0xD7A3},   {0xE000, 0xE0FF},
        {0xFE00, 0xFE0F}, {0xFF00, 0xFFEF}, {0x1F300, 0x1F6FF}, {0x10FFF0, 0x10FFFF}};
    static const std::vector<std::string> kSpecial = {
        "<s>",          "</s>",
        "<unk>",        "<0x0A>",
        "\xE2\x96\x81", "[INST]",
        "<<SYS>>\n",    "\xEF\xBF\xBD",
        "\r\n",         "\xF0\x9F\x91\xA8\xE2\x80\x8D\xF0\x9F\x91\xA9",
        "  ",           "\t\t",
        "123456",       "don't "};
    switch (Below(8)) {
      case 0: {
        const auto& range = kScripts[Below(std::size(kScripts))];
        const int count = 1 + Below(12);
        for (int i = 0; i < count; ++i) {
          AppendUtf8(range[0] + random_() % (range[1] - range[0] + 1), text);
        }
        break;
      }
      case 1:
        text.append(1 + static_cast<size_t>(Below(20)), Below(4) == 0 ? '\n' : ' ');
        break;
      case 2:
        for (int i = Below(4); i >= 0; --i) text += static_cast<char>(Below(32));
        break;
      case 3:  // Broken UTF-8.
        for (int i = Below(5); i >= 0; --i) text += static_cast<char>(0x80 + Below(128));
        break;
      case 4:
        text += kSpecial[static_cast<size_t>(Below(static_cast<int>(kSpecial.size())))];
        break;
      case 5:
        text.append(1 + static_cast<size_t>(Below(40)), static_cast<char>('a' + Below(26)));
        break;
      default:
        for (int i = Below(6); i >= 0; --i) {
          text += vocabulary_.piece(random_() % static_cast<uint32_t>(vocabulary_.size())).bytes;
        }
    }
  }

  const Vocabulary& vocabulary_;
  std::mt19937 random_{20260101};
};

class SentencePieceTest : public testing::TestWithParam<const char*> {
 protected:
  void ExpectSameIds(const std::vector<std::string>& texts) const {
    std::vector<std::string> questions;
    for (const std::string& text : texts) {
      questions.push_back("e " + absl::BytesToHexString(text));
    }
    const std::vector<std::string> answers = Ask(path_, questions);
    for (size_t i = 0; i < texts.size(); ++i) {
      const Encoding encoding = tokenizer_->EncodeText(texts[i], {.add_bos = false}).value();
      std::string ours;
      for (const TokenId id : encoding.ids) {
        absl::StrAppend(&ours, id, " ");
      }
      ASSERT_EQ(ours, answers[i]) << "string " << i << ": " << absl::CHexEscape(texts[i]);
    }
  }

  const std::string path_ = absl::StrCat(LLAMA_TEST_DATA, "/", GetParam(), "/tokenizer.model");
  const std::unique_ptr<const Tokenizer> tokenizer_ = Tokenizer::Load(path_, 10'000'000).value();
};

TEST_P(SentencePieceTest, EveryIdIsTheSame) {
  StringMaker maker(tokenizer_->vocabulary());
  std::vector<std::string> texts;
  for (int i = 0; i < kStrings; ++i) texts.push_back(maker.Make());
  ExpectSameIds(texts);
}

TEST_P(SentencePieceTest, LongTextsAndLongRunsAreTheSame) {
  StringMaker maker(tokenizer_->vocabulary());
  std::string mixed;
  while (mixed.size() < 300'000) mixed += maker.Make();
  ExpectSameIds(
      {mixed, std::string(50'000, 'a'), std::string(50'000, ' '), std::string(20'000, '\xFF')});
}

TEST_P(SentencePieceTest, EveryDecodedTextIsTheSame) {
  std::mt19937 random(7);
  const auto size = static_cast<uint32_t>(tokenizer_->vocabulary().size());
  std::vector<std::vector<TokenId>> lists(kStrings);
  std::vector<std::string> questions;
  for (std::vector<TokenId>& ids : lists) {
    // Many bytes and control tokens, which come first in these vocabularies.
    for (uint32_t n = random() % 20; n > 0; --n) {
      ids.push_back(random() % 2 == 0 ? random() % 260 : random() % size);
    }
    questions.push_back("d " + absl::StrJoin(ids, " "));
  }
  const std::vector<std::string> answers = Ask(path_, questions);
  for (int i = 0; i < kStrings; ++i) {
    ASSERT_EQ(absl::BytesToHexString(tokenizer_->Decode(lists[i], false)->text), answers[i])
        << questions[i];
  }
}

INSTANTIATE_TEST_SUITE_P(Vocabularies, SentencePieceTest,
                         testing::Values("llama2-tokenizer", "stories260K"), [](const auto& test) {
                           return std::string(test.param) == "stories260K" ? "Stories" : "Llama2";
                         });

}  // namespace
}  // namespace llama
