#include "services/tokenizer/vocabulary.h"

#include "absl/time/clock.h"
#include "common/read_file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/vocabulary_writer.h"

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

using testing::HasSubstr;
using PieceProto = files::SentencePieceModel::Piece;

std::string Refusal(const files::SentencePieceModel& model) {
  const auto parsed = Vocabulary::Parse(model.SerializeAsString(), "x.model");
  EXPECT_FALSE(parsed.ok());
  return std::string(parsed.status().message());
}

TEST(VocabularyTest, TheMinimumIsAccepted) {
  const auto parsed = Vocabulary::Parse(MinimalVocabulary().SerializeAsString(), "x.model");
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ((*parsed)->size(), 259u);
  EXPECT_EQ((*parsed)->byte(0x41), 3u + 0x41);
  EXPECT_EQ((*parsed)->piece((*parsed)->byte(0x41)).bytes, "A");
  EXPECT_EQ((*parsed)->piece((*parsed)->unknown()).bytes, " \u2047 ");
  EXPECT_EQ((*parsed)->piece((*parsed)->bos()).bytes, "");
  EXPECT_FALSE((*parsed)->has_unused());
}

// protobuf's parser would take it for the default, a normal piece: control text would become text.
TEST(VocabularyTest, ATypeThatIsNotKnownIsRefused) {
  for (const int type : {0, 7, -1}) {
    files::SentencePieceModel model = MinimalVocabulary();
    AddPiece(model, "x", 0, type);
    EXPECT_THAT(Refusal(model), HasSubstr("piece 259 \"x\" has a type that is not known"));
  }
}

// SentencePiece keeps two tables, and would find the one spelling in the other's place.
TEST(VocabularyTest, ASpellingIsTakenByOnePieceOfAnyType) {
  for (const char* const taken : {"<s>", "<unk>", "<0x0A>", "a"}) {
    for (const int type :
         {PieceProto::NORMAL, PieceProto::USER_DEFINED, PieceProto::UNUSED, PieceProto::CONTROL}) {
      files::SentencePieceModel model = MinimalVocabulary();
      AddPiece(model, "a");
      AddPiece(model, taken, 0, type);
      EXPECT_THAT(Refusal(model), HasSubstr("stands there twice"));
    }
  }
}

TEST(VocabularyTest, WhatDecodingWouldDoToTheTextIsRefused) {
  files::SentencePieceModel model = MinimalVocabulary();
  model.mutable_denormalizer_spec()->set_precompiled_charsmap("x");
  EXPECT_THAT(Refusal(model), HasSubstr("denormalizer_spec.precompiled_charsmap: expected none"));
}

TEST(VocabularyTest, TheUnknownTokensTextIsTheFiles) {
  files::SentencePieceModel model = MinimalVocabulary();
  model.mutable_trainer_spec()->set_unk_surface("?");
  const auto parsed = Vocabulary::Parse(model.SerializeAsString(), "x.model");
  EXPECT_EQ((*parsed)->piece(0).bytes, "?");
  model.mutable_trainer_spec()->set_unk_surface("\xFF");
  EXPECT_THAT(Refusal(model), HasSubstr("trainer_spec.unk_surface"));
  model.mutable_trainer_spec()->set_unk_surface(std::string("a\0b", 3));
  EXPECT_THAT(Refusal(model), HasSubstr("trainer_spec.unk_surface"));
}

TEST(VocabularyTest, TextBecomesTextPiecesOnly) {
  const auto parsed = Vocabulary::Parse(MixedVocabulary().SerializeAsString(), "x.model");
  const Vocabulary& vocabulary = **parsed;
  for (const char* const text : {"ab", "bca", "aaa", "▁"}) {
    EXPECT_TRUE(vocabulary.FindText(text).has_value()) << text;
  }
  for (const char* const other : {"<s>", "</s>", "<unk>", "<0x41>", "x", ""}) {
    EXPECT_FALSE(vocabulary.FindText(other).has_value()) << other;
  }
  EXPECT_EQ(vocabulary.UserDefinedPrefix("aaaaa"), 4u);
  EXPECT_EQ(vocabulary.UserDefinedPrefix("aab"), 0u);
  EXPECT_TRUE(vocabulary.has_unused());
  EXPECT_TRUE(vocabulary.MayJoin('b', 'c'));
  EXPECT_FALSE(vocabulary.MayJoin('c', 0x1F440));
}

// Inserted one by one in front of each other they would take minutes.
TEST(VocabularyTest, ManyUserDefinedPiecesLoadSoon) {
  files::SentencePieceModel model = MinimalVocabulary();
  for (int length = 3; length <= 6; ++length) {
    for (int i = 0; i < 60'000; ++i) {
      AddPiece(model, std::string(static_cast<size_t>(length), 'x') + std::to_string(i), 0,
               PieceProto::USER_DEFINED);
    }
  }
  const std::string file = model.SerializeAsString();
  const absl::Time start = absl::Now();
  const auto parsed = Vocabulary::Parse(file, "x.model");
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_LT(absl::Now() - start, absl::Seconds(10));
  EXPECT_EQ((*parsed)->UserDefinedPrefix("xxxx59999yy"), 9u);
}

}  // namespace
}  // namespace llama
