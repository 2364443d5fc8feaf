#include "services/tokenizer/stream_decoder.h"

#include <memory>
#include <random>

#include "common/read_file.h"
#include "common/status_details.h"
#include "gtest/gtest.h"
#include "tests/support/vocabulary_writer.h"

namespace llama {
namespace {

class StreamDecoderTest : public testing::Test {
 protected:
  const std::unique_ptr<const Vocabulary> vocabulary_ =
      Vocabulary::Parse(ReadFile(std::string(LLAMA_TEST_DATA) + "/stories260K/tokenizer.model",
                                 kMaxVocabularyFileBytes)
                            .value(),
                        "tokenizer.model")
          .value();
};

TEST_F(StreamDecoderTest, TheTextDoesNotDependOnHowTheTokensAreSplit) {
  std::mt19937 random(3);
  for (int round = 0; round < 2000; ++round) {
    std::vector<TokenId> ids;
    for (uint32_t n = random() % 24; n > 0; --n) {
      ids.push_back(random() % 3 == 0
                        ? static_cast<TokenId>(random() % vocabulary_->size())
                        : vocabulary_->byte(static_cast<uint8_t>(0x80 + random() % 128)));
    }
    const bool keep = random() % 2 == 0;
    StreamDecoder whole(*vocabulary_, keep);
    DecodedText expected;
    ASSERT_TRUE(whole.Push(ids, expected).ok());
    whole.Flush(expected);
    StreamDecoder parts(*vocabulary_, keep);
    DecodedText found;
    for (std::span<const TokenId> rest = ids; !rest.empty();) {
      const size_t count = 1 + random() % rest.size();
      ASSERT_TRUE(parts.Push(rest.first(count), found).ok());
      ASSERT_LE(parts.held().size(), 3u);
      rest = rest.subspan(count);
    }
    parts.Flush(found);
    ASSERT_EQ(found.text, expected.text);
    ASSERT_EQ(found.raw, expected.raw);
  }
}

TEST_F(StreamDecoderTest, ACharacterComesWhenItIsComplete) {
  StreamDecoder decoder(*vocabulary_, false);
  DecodedText out;
  for (const uint8_t byte : {0xF0, 0x9F, 0x91}) {
    const TokenId id = vocabulary_->byte(byte);
    ASSERT_TRUE(decoder.Push({&id, 1}, out).ok());
    EXPECT_EQ(out.text, "");
  }
  EXPECT_EQ(decoder.held(), "\xF0\x9F\x91");
  const TokenId last = vocabulary_->byte(0x80);
  ASSERT_TRUE(decoder.Push({&last, 1}, out).ok());
  EXPECT_EQ(out.text, "👀");
  EXPECT_EQ(decoder.held(), "");
}

TEST_F(StreamDecoderTest, EachByteOfABrokenCharacterIsReplaced) {
  StreamDecoder decoder(*vocabulary_, false);
  DecodedText out;
  const std::vector<TokenId> ids = {vocabulary_->byte(0xF0), vocabulary_->byte(0x9F)};
  ASSERT_TRUE(decoder.Push(ids, out).ok());
  decoder.Flush(out);
  EXPECT_EQ(out.text, "\uFFFD\uFFFD");
  EXPECT_EQ(out.raw, "\xF0\x9F");
}

TEST_F(StreamDecoderTest, ControlTokensEndACharacterAndHaveNoText) {
  StreamDecoder decoder(*vocabulary_, false);
  DecodedText out;
  const std::vector<TokenId> ids = {vocabulary_->bos(), vocabulary_->byte(0xF0), vocabulary_->eos(),
                                    *vocabulary_->FindText("▁a"), vocabulary_->unknown()};
  ASSERT_TRUE(decoder.Push(ids, out).ok());
  EXPECT_EQ(out.text, "\uFFFD a \u2047 ");
  EXPECT_EQ(out.raw, "\xF0 a \u2047 ");
}

TEST_F(StreamDecoderTest, OnlyTheFirstTextLosesItsBlank) {
  const TokenId a = *vocabulary_->FindText("▁a");
  const TokenId blank = *vocabulary_->FindText("▁");
  const std::vector<std::vector<TokenId>> lists = {
      {a, a}, {blank, a}, {vocabulary_->bos(), a}, {vocabulary_->byte('b'), a}};
  const std::vector<std::string> expected = {"a a", " a", "a", "b a"};
  for (size_t i = 0; i < lists.size(); ++i) {
    StreamDecoder decoder(*vocabulary_, false);
    DecodedText out;
    ASSERT_TRUE(decoder.Push(lists[i], out).ok());
    EXPECT_EQ(out.text, expected[i]);
  }
}

TEST(StreamDecoderWithoutPrefixTest, ABlankThatEncodingDidNotPutThereStays) {
  files::SentencePieceModel model = MinimalVocabulary();
  model.mutable_normalizer_spec()->set_add_dummy_prefix(false);
  AddPiece(model, "▁");
  const auto vocabulary = Vocabulary::Parse(model.SerializeAsString(), "x.model").value();
  StreamDecoder decoder(*vocabulary, false);
  DecodedText out;
  const TokenId blank = *vocabulary->FindText("▁");
  ASSERT_TRUE(decoder.Push({&blank, 1}, out).ok());
  EXPECT_EQ(out.text, " ");
}

TEST_F(StreamDecoderTest, AnIdOutsideTheVocabularyIsNamed) {
  StreamDecoder decoder(*vocabulary_, false);
  DecodedText out;
  const TokenId id = 512;
  const absl::Status status = decoder.Push({&id, 1}, out);
  EXPECT_EQ(GetReason(status), "TOKEN_ID");
  EXPECT_EQ(GetDetail<google::rpc::ErrorInfo>(status)->metadata().at("id"), "512");
}

}  // namespace
}  // namespace llama
