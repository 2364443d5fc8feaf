#include "services/gateway/request_checks.h"

#include <string>

#include "common/status_details.h"
#include "gtest/gtest.h"

namespace llama {
namespace {

// The path of the field at fault, or "".
std::string Fault(v1::GenerateRequest request) {
  if (!request.has_prompt()) request.mutable_prompt()->set_text("text");
  const absl::Status status = CheckGenerateRequest(request, /*max_prompt_bytes=*/100);
  if (status.ok()) return "";
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(GetReason(status), "FIELD_INVALID");
  return GetDetail<google::rpc::BadRequest>(status)->field_violations(0).field();
}

TEST(RequestChecksTest, AnIdIsAtMost64LettersDigitsDashesAndUnderscores) {
  v1::GenerateRequest request;
  for (const std::string& id : {std::string(), std::string("aZ09-_"), std::string(64, 'x')}) {
    request.set_request_id(id);
    EXPECT_EQ(Fault(request), "") << id;
  }
  for (const std::string& id :
       {std::string(65, 'x'), std::string("a b"), std::string("a\n"), std::string("\u00e9"),
        std::string(1, '\0'), std::string("a/b"), std::string("a.b")}) {
    request.set_request_id(id);
    EXPECT_EQ(Fault(request), "request_id") << id;
  }
}

v1::GenerateRequest WithStops(size_t count, size_t bytes) {
  const std::string stop(bytes, 'x');
  v1::GenerateRequest request;
  for (size_t i = 0; i < count; ++i) *request.mutable_stopping()->add_stop_sequences() = stop;
  return request;
}

TEST(RequestChecksTest, ThereAreAtMost16StopSequences) {
  EXPECT_EQ(Fault(WithStops(16, 1)), "");
  EXPECT_EQ(Fault(WithStops(17, 1)), "stopping.stop_sequences");
}

TEST(RequestChecksTest, AStopSequenceHas1To256Bytes) {
  EXPECT_EQ(Fault(WithStops(1, 256)), "");
  for (const size_t bytes : {0u, 257u}) {
    v1::GenerateRequest request = WithStops(1, 1);
    request.mutable_stopping()->MergeFrom(WithStops(1, bytes).stopping());
    EXPECT_EQ(Fault(request), "stopping.stop_sequences[1]") << bytes;
  }
}

std::string ReasonOf(const v1::Prompt& prompt) {
  v1::GenerateRequest request;
  *request.mutable_prompt() = prompt;
  return GetReason(CheckGenerateRequest(request, /*max_prompt_bytes=*/100));
}

TEST(RequestChecksTest, APromptsBytesAreBoundedWhateverItConsistsOf) {
  v1::Prompt text;
  text.set_text(std::string(100, 'x'));
  EXPECT_EQ(ReasonOf(text), "");
  text.set_text(std::string(101, 'x'));
  EXPECT_EQ(ReasonOf(text), "PROMPT_TOO_LONG");
  v1::Prompt chat;
  for (int i = 0; i < 2; ++i)
    chat.mutable_chat()->add_messages()->set_content(std::string(50, 'x'));
  EXPECT_EQ(ReasonOf(chat), "");  // The order of the messages is the tokenizer's to check.
  chat.mutable_chat()->add_messages()->set_content("x");
  EXPECT_EQ(ReasonOf(chat), "PROMPT_TOO_LONG");
  v1::Prompt ids;
  ids.mutable_token_ids()->mutable_ids()->Resize(100, 1);
  EXPECT_EQ(ReasonOf(ids), "");
  ids.mutable_token_ids()->add_ids(1);
  EXPECT_EQ(ReasonOf(ids), "FIELD_INVALID");
  EXPECT_EQ(ReasonOf(v1::Prompt()), "FIELD_INVALID");
}

TEST(RequestChecksTest, WhatIsNotSetIsNotLookedAt) {
  v1::GenerateRequest request;
  request.mutable_sampling();
  request.mutable_stopping();
  request.mutable_output();
  EXPECT_EQ(Fault(request), "");
  request.mutable_sampling()->set_top_p(0);
  EXPECT_EQ(Fault(request), "sampling.top_p");
}

TEST(RequestChecksTest, AValueOfAMapIsNamedByItsKey) {
  v1::GenerateRequest request;
  (*request.mutable_sampling()->mutable_logit_bias())[7] = 101;
  EXPECT_EQ(Fault(request), "sampling.logit_bias[7]");
}

}  // namespace
}  // namespace llama
