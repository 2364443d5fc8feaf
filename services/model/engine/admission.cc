#include "services/model/engine/admission.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/status_details.h"
#include "services/model/engine/scheduler.h"

namespace llama {
namespace {

constexpr absl::Duration kLeastRetryDelay = absl::Milliseconds(10);
constexpr absl::Duration kMostRetryDelay = absl::Hours(1);

absl::Status CheckDeadline(const AdmissionRequest& request, const Backlog& backlog) {
  // A deadline that has passed already is not unreachable: it ends the call as any other.
  const double speed = backlog.best_prefill_tokens_per_second;
  if (speed <= 0 || request.time_left <= absl::ZeroDuration()) return absl::OkStatus();
  const absl::Duration least = absl::Seconds(static_cast<double>(request.prefill_tokens) / speed);
  if (least <= request.time_left) return absl::OkStatus();
  return MakeStatus(
      absl::StatusCode::kResourceExhausted, "DEADLINE_UNREACHABLE",
      absl::StrCat("the prompt's ", request.prefill_tokens, " tokens alone take ",
                   absl::FormatDuration(absl::Trunc(least, absl::Milliseconds(1))),
                   " and more; the deadline is in ",
                   absl::FormatDuration(absl::Trunc(request.time_left, absl::Milliseconds(1)))));
}

// The most that a caller may have waiting when all callers together have `all`, so that one more is
// let in: less than kShare times what is free then.
int64_t Share(int64_t most, int64_t all) { return kShare * (most - all); }

// By how much `all` must shrink, all of it the caller's, until fewer than Share() are left.
int64_t Excess(int64_t most, int64_t all, int64_t callers) {
  const int64_t over = callers - Share(most, all);
  return over < 0 ? 0 : over / (kShare + 1) + 1;
}

}  // namespace

Missing FindMissing(const AdmissionRequest& request, const Backlog& backlog,
                    const AdmissionLimits& limits) {
  const Waiting& all = backlog.all;
  const Waiting& callers = backlog.callers;
  Missing missing;
  missing.requests =
      std::max<int64_t>({0, all.requests + 1 - limits.max_waiting,
                         Excess(limits.max_waiting, all.requests, callers.requests)});
  // A prompt that alone is beyond the limit is let in where no other one waits.
  if (all.prefill_tokens == 0) return missing;
  const int64_t most = limits.max_waiting_prefill_tokens;
  const int64_t over = all.prefill_tokens + request.prefill_tokens - most;
  missing.prefill_tokens = std::max<int64_t>(0, std::min(over, all.prefill_tokens));
  if (callers.prefill_tokens > 0) {
    missing.prefill_tokens =
        std::max(missing.prefill_tokens, Excess(most, all.prefill_tokens, callers.prefill_tokens));
  }
  return missing;
}

absl::Status CheckPossible(const AdmissionRequest& request, const Backlog& backlog,
                           const AdmissionLimits& limits) {
  const int64_t blocks = Scheduler::BlocksFor(request.cache_tokens);
  if (blocks > limits.kv_blocks) {
    return MakeStatus(absl::StatusCode::kResourceExhausted, "KV_CACHE_TOO_SMALL",
                      absl::StrCat("the request needs ", blocks * limits.kv_block_bytes,
                                   " bytes of KV cache for ", request.cache_tokens,
                                   " tokens; there are ", limits.kv_blocks * limits.kv_block_bytes,
                                   " bytes, for ", limits.kv_blocks * kKvBlockTokens, " tokens"));
  }
  return CheckDeadline(request, backlog);
}

absl::Status QueueFull(const Backlog& backlog, const AdmissionLimits& limits,
                       const Missing& missing, absl::Duration wait) {
  absl::Status status = MakeStatus(
      absl::StatusCode::kResourceExhausted, "QUEUE_FULL",
      absl::StrCat(backlog.all.requests, " requests wait, of ", limits.max_waiting,
                   " at most, and ", backlog.callers.requests, " of them are this caller's; ",
                   backlog.all.prefill_tokens, " tokens of prompt are not yet computed, of ",
                   limits.max_waiting_prefill_tokens, " at most"),
      {{"limit", missing.requests > 0 ? "max_waiting" : "max_waiting_prefill_tokens"}});
  SetRetryDelay(std::clamp(wait, kLeastRetryDelay, kMostRetryDelay), status);
  return status;
}

}  // namespace llama
