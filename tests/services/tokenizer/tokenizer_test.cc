#include "services/tokenizer/tokenizer.h"

#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "common/status_details.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/limits/request_limits.h"

namespace llama {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;

class TokenizerTest : public testing::Test {
 protected:
  const std::unique_ptr<const Tokenizer> tokenizer_ =
      Tokenizer::Load(std::string(LLAMA_TEST_DATA) + "/llama2-tokenizer/tokenizer.model", 1000)
          .value();
};

std::string Field(const absl::Status& status) {
  const auto detail = GetDetail<google::rpc::BadRequest>(status);
  return detail.has_value() ? detail->field_violations(0).field() : "";
}

TEST_F(TokenizerTest, CompletionIsEncodedVerbatim) {
  EXPECT_THAT(tokenizer_->EncodeText("Hello, my name is", {})->ids,
              ElementsAre(1, 15043, 29892, 590, 1024, 338));
  EXPECT_THAT(tokenizer_->EncodeText("Hello, my name is ", {})->ids,
              ElementsAre(1, 15043, 29892, 590, 1024, 338, 29871));
  EXPECT_THAT(tokenizer_->EncodeText("", {})->ids, ElementsAre(1));
  EXPECT_THAT(tokenizer_->EncodeText("", {.add_bos = false})->ids, ElementsAre());
}

TEST_F(TokenizerTest, ChatWithSystemMessageIsMetasFormat) {
  const std::vector<ChatMessage> chat = {{Role::kSystem, "You are Einstein"},
                                         {Role::kUser, "Describe your theory."}};
  const Encoding encoding = tokenizer_->EncodeChat(chat, {}).value();
  EXPECT_THAT(encoding.ids,
              ElementsAreArray({1,     518,  25580, 29962, 3532, 14816, 29903, 6778, 13, 3492, 526,
                                2694,  5465, 13,    29966, 829,  14816, 29903, 6778, 13, 13,   4002,
                                29581, 596,  6368,  29889, 518,  29914, 25580, 29962}));
  EXPECT_EQ(encoding.rendered,
            "[INST] <<SYS>>\nYou are Einstein\n<</SYS>>\n\nDescribe your theory. [/INST]");
  ASSERT_EQ(encoding.role_spans.size(), 5u);
  EXPECT_EQ(encoding.role_spans[1].role, Role::kSystem);
  EXPECT_EQ(encoding.role_spans[1].ids.begin, 9);
  EXPECT_EQ(encoding.role_spans[1].ids.end, 13);
  EXPECT_EQ(encoding.role_spans[3].role, Role::kUser);
  EXPECT_EQ(encoding.role_spans[3].ids.begin, 21);
  EXPECT_EQ(encoding.role_spans[3].ids.end, 26);
}

TEST_F(TokenizerTest, EveryTurnHasItsOwnBeginAndEnd) {
  const std::vector<ChatMessage> chat = {
      {Role::kUser, " Hi "}, {Role::kAssistant, "Hello!\n"}, {Role::kUser, "Bye"}};
  std::vector<TokenId> expected = tokenizer_->EncodeText("[INST] Hi [/INST] Hello! ", {})->ids;
  expected.push_back(2);
  const auto second = tokenizer_->EncodeText("[INST] Bye [/INST]", {})->ids;
  expected.insert(expected.end(), second.begin(), second.end());
  EXPECT_EQ(tokenizer_->EncodeChat(chat, {})->ids, expected);
}

TEST_F(TokenizerTest, TextNeverBecomesAControlToken) {
  for (const char* const text : {"<s>", "</s>", "a</s>b", "<unk>", "<0x0A>"}) {
    const auto ids = tokenizer_->EncodeText(text, {.add_bos = false})->ids;
    for (const TokenId id : ids) EXPECT_GE(id, 259u) << text;
    EXPECT_EQ(tokenizer_->Decode(ids, false)->text, text);
  }
}

TEST_F(TokenizerTest, OffsetsCoverTheTextInEveryUnit) {
  const std::string text = "a é👀 b";  // 1 + 1 + 2 + 4 + 1 + 1 bytes.
  const auto ends = [&](OffsetUnit unit) {
    const Encoding encoding =
        tokenizer_->EncodeText(text, {.offsets = true, .offset_unit = unit}).value();
    EXPECT_EQ(encoding.offsets.size(), encoding.ids.size());
    int64_t last = 0;
    for (const Range& range : encoding.offsets) {
      EXPECT_LE(range.begin, last) << "a gap";
      last = std::max(last, range.end);
    }
    return last;
  };
  EXPECT_EQ(ends(OffsetUnit::kByte), 10);
  EXPECT_EQ(ends(OffsetUnit::kCodePoint), 6);
  EXPECT_EQ(ends(OffsetUnit::kUtf16), 7);
}

TEST_F(TokenizerTest, PartsOfACharacterCoverAllOfIt) {
  const Encoding encoding = tokenizer_->EncodeText("x🤷y", {.offsets = true}).value();
  int parts = 0;
  for (const Range& range : encoding.offsets) parts += range.begin == 1 && range.end == 5 ? 1 : 0;
  EXPECT_EQ(parts, 4);
}

TEST_F(TokenizerTest, BytesThatAreNoCharacterCountAsOneInEveryUnit) {
  const std::string text = "a\xF0\x9F👀\xC3";  // 1 + 2 single bytes + 4 + 1 single byte.
  for (const auto& [unit, eyes_begin, eyes_end, end] :
       {std::tuple(OffsetUnit::kByte, 3, 7, 8), std::tuple(OffsetUnit::kCodePoint, 3, 4, 5),
        std::tuple(OffsetUnit::kUtf16, 3, 5, 6)}) {
    const Encoding encoding =
        tokenizer_->EncodeText(text, {.offsets = true, .offset_unit = unit}).value();
    EXPECT_EQ(encoding.offsets.back().end, end);
    int parts = 0;
    for (const Range& range : encoding.offsets) {
      parts += range.begin == eyes_begin && range.end == eyes_end ? 1 : 0;
    }
    EXPECT_EQ(parts, 1 + 3) << "the eyes' four bytes";
  }
}

TEST_F(TokenizerTest, ABrokenCharacterAmongIdsCoversItsReplacementsOnly) {
  const Vocabulary& vocabulary = tokenizer_->vocabulary();
  const std::vector<TokenId> ids = {
      vocabulary.byte(0xF0), vocabulary.byte(0x9F), *vocabulary.FindText("▁Hello"),
      vocabulary.byte(0xE2), vocabulary.eos(),      vocabulary.byte(0xC3),
      vocabulary.byte(0xA9)};
  const Encoding encoding = tokenizer_->EncodeIds(ids, {.offsets = true}).value();
  EXPECT_EQ(encoding.rendered, "\uFFFD\uFFFD Hello\uFFFDé");
  std::vector<std::pair<int64_t, int64_t>> ranges;
  for (const Range& range : encoding.offsets) ranges.emplace_back(range.begin, range.end);
  using P = std::pair<int64_t, int64_t>;
  EXPECT_THAT(ranges,
              ElementsAre(P(0, 3), P(3, 6), P(6, 12), P(12, 15), P(15, 15), P(15, 17), P(15, 17)));
}

TEST_F(TokenizerTest, AnEmptyMessageHasNoTokens) {
  const std::vector<ChatMessage> chat = {
      {Role::kSystem, ""}, {Role::kUser, " \n"}, {Role::kAssistant, ""}, {Role::kUser, ""}};
  const Encoding encoding = tokenizer_->EncodeChat(chat, {}).value();
  int messages = 0;
  for (const RoleSpan& span : encoding.role_spans) {
    if (span.role == Role::kUnspecified) continue;
    ++messages;
    EXPECT_EQ(span.ids.begin, span.ids.end);
  }
  EXPECT_EQ(messages, 4);
}

TEST_F(TokenizerTest, WhatWouldBeLargeIsRefusedBeforeItIsMade) {
  const std::vector<ChatMessage> many(static_cast<size_t>(kChatMessages.most) + 1,
                                      {Role::kUser, ""});
  EXPECT_EQ(Field(tokenizer_->EncodeChat(many, {}).status()), "prompt.chat.messages");
  const std::vector<TokenId> ids(1001, tokenizer_->vocabulary().bos());
  EXPECT_EQ(Field(tokenizer_->EncodeIds(ids, {}).status()), "prompt.token_ids.ids");
  const std::vector<TokenId> hellos(500, *tokenizer_->vocabulary().FindText("▁Hello"));
  EXPECT_EQ(GetReason(tokenizer_->EncodeIds(hellos, {}).status()), "PROMPT_TOO_LONG");
  const std::vector<TokenId> reply(kMaxDecodedBytes / 10,
                                   *tokenizer_->vocabulary().FindText("▁Hello"));
  EXPECT_EQ(Field(tokenizer_->Decode(reply, false).status()), "ids");
}

TEST_F(TokenizerTest, WrongDialoguesNameTheFirstMessageAtFault) {
  const auto field = [&](const std::vector<ChatMessage>& chat) {
    return Field(tokenizer_->EncodeChat(chat, {}).status());
  };
  EXPECT_EQ(field({}), "prompt.chat.messages");
  EXPECT_EQ(field({{Role::kSystem, "x"}}), "prompt.chat.messages[0]");
  EXPECT_EQ(field({{Role::kAssistant, "x"}}), "prompt.chat.messages[0]");
  EXPECT_EQ(field({{Role::kUser, "x"}, {Role::kUser, "y"}}), "prompt.chat.messages[1]");
  EXPECT_EQ(field({{Role::kUser, "x"}, {Role::kAssistant, "y"}}), "prompt.chat.messages[1]");
  EXPECT_EQ(field({{Role::kUser, "x"}, {Role::kSystem, "y"}}), "prompt.chat.messages[1]");
  EXPECT_EQ(field({{Role::kUnspecified, "x"}}), "prompt.chat.messages[0]");
}

TEST_F(TokenizerTest, TagsInMessagesAreRefusedOnlyWhenAskedTo) {
  const std::vector<ChatMessage> chat = {{Role::kUser, "x [/INST] y"}};
  EXPECT_TRUE(tokenizer_->EncodeChat(chat, {}).ok());
  const absl::Status status =
      tokenizer_->EncodeChat(chat, {.control_text = ControlText::kReject}).status();
  EXPECT_EQ(GetReason(status), "CONTROL_TEXT");
  EXPECT_EQ(Field(status), "prompt.chat.messages[0].content");
}

TEST_F(TokenizerTest, TooLongPromptsAreRefusedWithBothSizes) {
  EXPECT_TRUE(tokenizer_->EncodeText(std::string(1000, 'x'), {}).ok());
  const absl::Status status = tokenizer_->EncodeText(std::string(1001, 'x'), {}).status();
  EXPECT_EQ(GetReason(status), "PROMPT_TOO_LONG");
  const auto info = GetDetail<google::rpc::ErrorInfo>(status);
  EXPECT_EQ(info->metadata().at("bytes"), "1001");
  EXPECT_EQ(info->metadata().at("limit"), "1000");
}

TEST_F(TokenizerTest, GivenIdsAreUsedAsTheyAre) {
  const std::vector<TokenId> ids = {1, 15043, 2};
  const Encoding encoding = tokenizer_->EncodeIds(ids, {}).value();
  EXPECT_EQ(encoding.ids, ids);
  EXPECT_EQ(encoding.rendered, "Hello");
  const std::vector<TokenId> outside = {1, 32000};
  EXPECT_EQ(Field(tokenizer_->EncodeIds(outside, {}).status()), "prompt.token_ids.ids[1]");
}

}  // namespace
}  // namespace llama
