#include "services/model/engine/admission.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "common/proto_duration.h"
#include "common/status_details.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/model/transformer/kv_cache.h"

namespace llama {
namespace {

using ::testing::HasSubstr;

constexpr AdmissionLimits kLimits = {
    .max_waiting = 4, .max_waiting_prefill_tokens = 1000, .kv_blocks = 10, .kv_block_bytes = 64};

AdmissionRequest Request(int64_t prefill_tokens) {
  return {
      .prefill_tokens = prefill_tokens, .cache_tokens = 1, .time_left = absl::InfiniteDuration()};
}

// What waits, none of it of the caller who asks.
Backlog Others(int64_t requests, int64_t prefill_tokens) {
  return {.all = {.requests = requests, .prefill_tokens = prefill_tokens}};
}

absl::Status Check(const AdmissionRequest& request, const Backlog& backlog,
                   const AdmissionLimits& limits = kLimits) {
  const absl::Status possible = CheckPossible(request, backlog, limits);
  if (!possible.ok()) return possible;
  const Missing missing = FindMissing(request, backlog, limits);
  return missing.requests == 0 && missing.prefill_tokens == 0
             ? absl::OkStatus()
             : QueueFull(backlog, limits, missing, absl::Seconds(1));
}

TEST(AdmissionTest, ARequestFitsIfTheCacheHoldsItExactly) {
  AdmissionRequest request = Request(1);
  request.cache_tokens = 10 * kKvBlockTokens;
  EXPECT_TRUE(Check(request, {}).ok());
  ++request.cache_tokens;
  const absl::Status refused = Check(request, {});
  EXPECT_EQ(GetReason(refused), "KV_CACHE_TOO_SMALL");
  for (const int64_t size : {11 * kLimits.kv_block_bytes, 10 * kLimits.kv_block_bytes,
                             10 * kKvBlockTokens + 1, 10 * kKvBlockTokens}) {
    EXPECT_THAT(refused.message(), HasSubstr(absl::StrCat(size)));
  }
}

TEST(AdmissionTest, TheQueueIsBoundedInRequestsAndTokens) {
  EXPECT_TRUE(Check(Request(400), Others(3, 600)).ok());
  EXPECT_EQ(GetReason(Check(Request(401), Others(3, 600))), "QUEUE_FULL");
  EXPECT_EQ(GetReason(Check(Request(1), Others(4, 0))), "QUEUE_FULL");
}

TEST(AdmissionTest, APromptBeyondTheBoundIsComputedWhenItIsAlone) {
  EXPECT_TRUE(Check(Request(1001), {}).ok());
}

// How many requests each of `callers` gets in, which ask in turn for as many as they can.
std::vector<int64_t> FillQueue(size_t callers, const AdmissionLimits& limits) {
  std::vector<int64_t> counts(callers);
  int64_t all = 0;
  for (bool any = true; any;) {
    any = false;
    for (int64_t& count : counts) {
      const Backlog backlog = {.all = {.requests = all}, .callers = {.requests = count}};
      if (!Check(Request(1), backlog, limits).ok()) continue;
      ++count;
      ++all;
      any = true;
    }
  }
  return counts;
}

TEST(AdmissionTest, CallersShareTheQueueAndLeaveAPlaceForTheNext) {
  AdmissionLimits limits = kLimits;
  limits.max_waiting = 64;
  EXPECT_THAT(FillQueue(1, limits), testing::ElementsAre(56));
  EXPECT_THAT(FillQueue(2, limits), testing::ElementsAre(30, 30));
  EXPECT_THAT(FillQueue(7, limits), testing::Each(testing::AllOf(testing::Ge(8), testing::Le(9))));
  // One has all that one may have; another asks.
  for (int64_t mine = 0; mine < 7; ++mine) {
    EXPECT_TRUE(
        Check(Request(1), {.all = {.requests = 56 + mine}, .callers = {.requests = mine}}, limits)
            .ok());
  }
  limits.max_waiting_prefill_tokens = 8000;
  EXPECT_EQ(GetReason(Check(Request(10),
                            {.all = {.requests = 1, .prefill_tokens = 7000},
                             .callers = {.requests = 1, .prefill_tokens = 7000}},
                            limits)),
            "QUEUE_FULL");
  EXPECT_TRUE(Check(Request(10), {.all = {.requests = 1, .prefill_tokens = 7000}}, limits).ok());
}

TEST(AdmissionTest, WhatIsMissingIsWhatMustBeginOrBeComputedFirst) {
  for (int64_t all = 0; all < 80; ++all) {
    for (int64_t mine = 0; mine <= all; ++mine) {
      AdmissionLimits limits = kLimits;
      limits.max_waiting = 64;
      const auto missing = [&](int64_t fewer) {
        return FindMissing(Request(1),
                           {.all = {.requests = all - fewer},
                            .callers = {.requests = std::max<int64_t>(mine - fewer, 0)}},
                           limits)
            .requests;
      };
      const int64_t count = missing(0);
      // Where the caller's own are the first to begin.
      if (count == 0 || count > mine) continue;
      EXPECT_EQ(missing(count), 0) << all << " " << mine;
      EXPECT_GT(missing(count - 1), 0) << all << " " << mine;
    }
  }
  EXPECT_EQ(FindMissing(Request(300), Others(1, 900), kLimits).prefill_tokens, 200);
}

TEST(AdmissionTest, ARefusalNamesTheLimitInItsWay) {
  const auto limit = [](const Missing& missing) {
    const absl::Status status = QueueFull({}, kLimits, missing, absl::Seconds(1));
    return GetDetail<google::rpc::ErrorInfo>(status)->metadata().at("limit");
  };
  EXPECT_EQ(limit({.requests = 1}), "max_waiting");
  EXPECT_EQ(limit({.requests = 1, .prefill_tokens = 5}), "max_waiting");
  EXPECT_EQ(limit({.prefill_tokens = 5}), "max_waiting_prefill_tokens");
}

TEST(AdmissionTest, TheRetryDelayIsTheWaitWithinReason) {
  const auto delay = [](absl::Duration wait) {
    const auto info = GetDetail<google::rpc::RetryInfo>(QueueFull({}, kLimits, {}, wait));
    return FromProto(info->retry_delay());
  };
  EXPECT_EQ(delay(absl::Seconds(2.5)), absl::Seconds(2.5));
  EXPECT_EQ(delay(-absl::Seconds(1)), absl::Milliseconds(10));
  EXPECT_EQ(delay(absl::InfiniteDuration()), absl::Hours(1));
}

TEST(AdmissionTest, ADeadlineThatThePromptAloneMissesIsRefusedAtOnce) {
  const auto reason = [](absl::Duration time_left, double best) {
    AdmissionRequest request = Request(500);
    request.time_left = time_left;
    return GetReason(Check(request, {.best_prefill_tokens_per_second = best}));
  };
  EXPECT_EQ(reason(absl::Milliseconds(4999), 100), "DEADLINE_UNREACHABLE");
  EXPECT_EQ(reason(absl::Seconds(5), 100), "");
  EXPECT_EQ(reason(absl::InfiniteDuration(), 100), "");
  EXPECT_EQ(reason(absl::Milliseconds(1), 0), "") << "the speed is not known yet";
  EXPECT_EQ(reason(-absl::Seconds(1), 100), "") << "it has passed: DEADLINE_EXCEEDED";
}

}  // namespace
}  // namespace llama
