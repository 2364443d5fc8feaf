#include "services/model/engine/admission.h"

#include "common/status_details.h"
#include "gtest/gtest.h"
#include "services/model/transformer/kv_cache.h"

namespace llama {
namespace {

constexpr AdmissionLimits kLimits = {
    .max_waiting = 4, .max_waiting_prefill_tokens = 1000, .kv_blocks = 10, .kv_block_bytes = 64};

AdmissionRequest Request(int64_t prefill_tokens) {
  return {
      .prefill_tokens = prefill_tokens, .cache_tokens = 1, .time_left = absl::InfiniteDuration()};
}

TEST(AdmissionTest, ARequestFitsIfTheCacheHoldsItExactly) {
  AdmissionRequest request = Request(1);
  request.cache_tokens = 10 * kKvBlockTokens;
  EXPECT_TRUE(CheckAdmission(request, {}, kLimits).ok());
  ++request.cache_tokens;
  EXPECT_EQ(GetReason(CheckAdmission(request, {}, kLimits)), "KV_CACHE_TOO_SMALL");
}

TEST(AdmissionTest, TheQueueIsBoundedInRequestsAndTokens) {
  EXPECT_TRUE(CheckAdmission(Request(400), {.waiting = 3, .prefill_tokens = 600}, kLimits).ok());
  EXPECT_EQ(GetReason(CheckAdmission(Request(401), {.waiting = 3, .prefill_tokens = 600}, kLimits)),
            "QUEUE_FULL");
  EXPECT_EQ(GetReason(CheckAdmission(Request(1), {.waiting = 4}, kLimits)), "QUEUE_FULL");
}

TEST(AdmissionTest, APromptBeyondTheBoundIsComputedWhenItIsAlone) {
  EXPECT_TRUE(CheckAdmission(Request(1001), {}, kLimits).ok());
}

TEST(AdmissionTest, TheRetryDelayIsTheTimeOfTheBacklogWithinReason) {
  const auto delay = [](int64_t tokens, double speed) {
    const absl::Status status = CheckAdmission(
        Request(1), {.waiting = 4, .prefill_tokens = tokens, .prefill_tokens_per_second = speed},
        kLimits);
    return GetDetail<google::rpc::RetryInfo>(status)->retry_delay().seconds();
  };
  EXPECT_EQ(delay(900, 100), 9);
  EXPECT_EQ(delay(900, 1e9), 1);
  EXPECT_EQ(delay(900, 1e-9), 60);
  EXPECT_EQ(delay(900, 0), 1) << "the speed is not known yet";
}

TEST(AdmissionTest, ADeadlineThatThePromptAloneMissesIsRefusedAtOnce) {
  const auto reason = [](absl::Duration time_left, double best) {
    AdmissionRequest request = Request(500);
    request.time_left = time_left;
    return GetReason(CheckAdmission(request, {.best_prefill_tokens_per_second = best}, kLimits));
  };
  EXPECT_EQ(reason(absl::Milliseconds(4999), 100), "DEADLINE_UNREACHABLE");
  EXPECT_EQ(reason(absl::Seconds(5), 100), "");
  EXPECT_EQ(reason(absl::InfiniteDuration(), 100), "");
  EXPECT_EQ(reason(absl::Milliseconds(1), 0), "") << "the speed is not known yet";
  EXPECT_EQ(reason(-absl::Seconds(1), 100), "") << "it has passed: DEADLINE_EXCEEDED";
}

}  // namespace
}  // namespace llama
