#include "services/model/engine/request_validation.h"

#include <cmath>
#include <functional>
#include <limits>

#include "common/status_details.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace llama {
namespace {

constexpr ModelLimits kLimits = {.vocab_size = 100, .context_length = 50};
constexpr int64_t kMost = std::numeric_limits<int64_t>::max();

TEST(RequestValidationTest, EveryValueOutOfRangeNamesItsField) {
  struct Case {
    const char* field;
    std::function<void(GenerateRequest&)> change;
  };
  const std::vector<Case> cases = {
      {"prompt_token_ids", [](auto& r) { r.prompt.clear(); }},
      {"prompt_token_ids[2]",
       [](auto& r) {
         r.prompt = {1, 2, 100};
       }},
      {"sampling.temperature", [](auto& r) { r.sampling.temperature = -0.1F; }},
      {"sampling.temperature", [](auto& r) { r.sampling.temperature = 100.1F; }},
      {"sampling.temperature", [](auto& r) { r.sampling.temperature = NAN; }},
      {"sampling.top_k", [](auto& r) { r.sampling.top_k = -1; }},
      {"sampling.top_p", [](auto& r) { r.sampling.top_p = 0; }},
      {"sampling.top_p", [](auto& r) { r.sampling.top_p = 1.01F; }},
      {"sampling.top_p", [](auto& r) { r.sampling.top_p = NAN; }},
      {"sampling.min_p", [](auto& r) { r.sampling.min_p = 1.5F; }},
      {"sampling.repetition_penalty", [](auto& r) { r.sampling.repetition_penalty = 0; }},
      {"sampling.repetition_penalty", [](auto& r) { r.sampling.repetition_penalty = INFINITY; }},
      {"sampling.presence_penalty", [](auto& r) { r.sampling.presence_penalty = 2.1F; }},
      {"sampling.frequency_penalty", [](auto& r) { r.sampling.frequency_penalty = -2.1F; }},
      {"sampling.penalty_window", [](auto& r) { r.sampling.penalty_window = -1; }},
      {"sampling.logit_bias[100]", [](auto& r) { r.sampling.logit_bias[100] = 1; }},
      {"sampling.logit_bias[3]", [](auto& r) { r.sampling.logit_bias[3] = 101; }},
      {"stopping.max_tokens", [](auto& r) { r.stopping.max_tokens = 0; }},
      {"stopping.max_total_tokens", [](auto& r) { r.stopping.max_total_tokens = 3; }},
      {"stopping.min_tokens", [](auto& r) { r.stopping.min_tokens = -1; }},
      {"stopping.stop_token_ids", [](auto& r) { r.stopping.stop_token_ids.resize(17); }},
      {"stopping.stop_token_ids[0]", [](auto& r) { r.stopping.stop_token_ids = {100}; }},
      {"stopping.time_limit", [](auto& r) { r.stopping.time_limit = absl::ZeroDuration(); }},
      {"eos_token_ids[1]",
       [](auto& r) {
         r.stopping.eos_token_ids = {2, 500};
       }},
      {"output.top_candidates", [](auto& r) { r.top_candidates = 21; }},
      {"cache_salt", [](auto& r) { r.cache_salt = std::string(257, 'x'); }},
  };
  for (const Case& c : cases) {
    GenerateRequest request = {.prompt = {1, 2, 3}};
    ASSERT_TRUE(CheckRequest(request, kLimits).ok());
    c.change(request);
    const absl::Status status = CheckRequest(request, kLimits).status();
    const auto detail = GetDetail<google::rpc::BadRequest>(status);
    ASSERT_TRUE(detail.has_value()) << c.field << ": " << status;
    EXPECT_EQ(detail->field_violations(0).field(), c.field);
    EXPECT_THAT(detail->field_violations(0).description(),
                testing::AllOf(testing::HasSubstr("expected"), testing::HasSubstr("found")));
    EXPECT_EQ(GetReason(status), "FIELD_INVALID");
  }
}

TEST(RequestValidationTest, EveryFieldOfAScoreNamesItself) {
  struct Case {
    const char* field;
    std::function<void(ScoreRequest&)> change;
  };
  const std::vector<Case> cases = {
      {"token_ids", [](auto& r) { r.tokens.clear(); }},
      {"token_ids[1]", [](auto& r) { r.tokens[1] = 100; }},
      {"from_position", [](auto& r) { r.from_position = 3; }},
      {"from_position", [](auto& r) { r.from_position = -1; }},
      {"top_candidates", [](auto& r) { r.top_candidates = 21; }},
      {"top_candidates", [](auto& r) { r.top_candidates = -1; }},
      {"candidate_token_ids", [](auto& r) { r.candidates.resize(65); }},
      {"candidate_token_ids[1]",
       [](auto& r) {
         r.candidates = {0, 4'000'000'000};
       }},
  };
  for (const Case& c : cases) {
    ScoreRequest request = {.tokens = {1, 2, 3}, .from_position = 2, .candidates = {9}};
    ASSERT_TRUE(CheckRequest(request, kLimits).ok());
    c.change(request);
    const auto detail = GetDetail<google::rpc::BadRequest>(CheckRequest(request, kLimits));
    ASSERT_TRUE(detail.has_value()) << c.field;
    EXPECT_EQ(detail->field_violations(0).field(), c.field);
  }
}

TEST(RequestValidationTest, TheEndsOfEveryRangeAreAccepted) {
  const std::vector<std::function<void(GenerateRequest&)>> changes = {
      [](auto& r) { r.sampling.temperature = 100; },
      [](auto& r) { r.sampling.top_k = kMost; },
      [](auto& r) { r.sampling.top_p = std::numeric_limits<float>::denorm_min(); },
      [](auto& r) { r.sampling.min_p = 1; },
      [](auto& r) { r.sampling.seed = std::numeric_limits<uint64_t>::max(); },
      [](auto& r) { r.sampling.repetition_penalty = std::numeric_limits<float>::denorm_min(); },
      [](auto& r) { r.sampling.repetition_penalty = std::numeric_limits<float>::max(); },
      [](auto& r) { r.sampling.presence_penalty = -2; },
      [](auto& r) { r.sampling.frequency_penalty = 2; },
      [](auto& r) { r.sampling.penalty_window = kMost; },
      [](auto& r) {
        r.sampling.logit_bias = {{0, -100.0F}, {99, 100.0F}};
      },
      [](auto& r) { r.stopping.max_tokens = kMost; },
      [](auto& r) { r.stopping.max_total_tokens = kMost; },
      [](auto& r) { r.stopping.max_total_tokens = 4; },
      [](auto& r) { r.stopping.min_tokens = kMost; },
      [](auto& r) { r.stopping.stop_token_ids.resize(16); },
      [](auto& r) { r.stopping.time_limit = absl::Nanoseconds(1); },
      [](auto& r) { r.top_candidates = 20; },
  };
  for (size_t i = 0; i < changes.size(); ++i) {
    GenerateRequest request = {.prompt = {1, 2, 3}};
    changes[i](request);
    const auto limit = CheckRequest(request, kLimits);
    ASSERT_TRUE(limit.ok()) << i << ": " << limit.status();
    EXPECT_GE(limit->max_tokens, 1);
    EXPECT_LE(limit->max_tokens, 47);
  }
}

TEST(RequestValidationTest, TheReplyEndsAtTheLeastLimit) {
  GenerateRequest request = {.prompt = {1, 2, 3}};
  const auto limit = [&] { return CheckRequest(request, kLimits).value(); };
  EXPECT_EQ(limit().max_tokens, 47);
  EXPECT_EQ(limit().reason, FinishReason::kContextLength);
  request.stopping.max_tokens = 47;
  EXPECT_EQ(limit().reason, FinishReason::kMaxTokens) << "the given one, where both are reached";
  request.stopping.max_tokens = 48;
  EXPECT_EQ(limit().reason, FinishReason::kContextLength);
  request.stopping.max_total_tokens = 10;
  EXPECT_EQ(limit().max_tokens, 7);
}

TEST(RequestValidationTest, APromptThatLeavesNoRoomIsRefusedWithBothLengths) {
  GenerateRequest request;
  request.prompt.assign(49, 1);
  EXPECT_TRUE(CheckRequest(request, kLimits).ok());
  request.prompt.push_back(1);
  const absl::Status status = CheckRequest(request, kLimits).status();
  EXPECT_EQ(GetReason(status), "CONTEXT_LENGTH_EXCEEDED");
  EXPECT_EQ(GetDetail<google::rpc::ErrorInfo>(status)->metadata().at("prompt_tokens"), "50");
  ScoreRequest score;
  score.tokens.assign(50, 1);
  EXPECT_TRUE(CheckRequest(score, kLimits).ok());
}

}  // namespace
}  // namespace llama
