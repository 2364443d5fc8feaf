#include "services/model/engine/admission.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/status_details.h"
#include "services/model/engine/scheduler.h"

namespace llama {
namespace {

constexpr absl::Duration kLeastRetryDelay = absl::Seconds(1);
constexpr absl::Duration kMostRetryDelay = absl::Minutes(1);

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

absl::Status CheckQueue(const AdmissionRequest& request, const Backlog& backlog,
                        const AdmissionLimits& limits) {
  // A prompt that alone is beyond the limit is let in where no other one waits.
  const int64_t most = limits.max_waiting_prefill_tokens;
  if (backlog.waiting < limits.max_waiting &&
      (backlog.prefill_tokens == 0 || backlog.prefill_tokens + request.prefill_tokens <= most)) {
    return absl::OkStatus();
  }
  absl::Status status =
      MakeStatus(absl::StatusCode::kResourceExhausted, "QUEUE_FULL",
                 absl::StrCat(backlog.waiting, " requests wait, of ", limits.max_waiting,
                              " at most; ", backlog.prefill_tokens,
                              " tokens of prompt are not yet computed, of ", most, " at most"));
  const double speed = backlog.prefill_tokens_per_second;
  const absl::Duration delay =
      speed > 0 ? absl::Seconds(static_cast<double>(backlog.prefill_tokens) / speed)
                : kLeastRetryDelay;
  SetRetryDelay(std::clamp(delay, kLeastRetryDelay, kMostRetryDelay), status);
  return status;
}

}  // namespace

absl::Status CheckAdmission(const AdmissionRequest& request, const Backlog& backlog,
                            const AdmissionLimits& limits) {
  const int64_t blocks = Scheduler::BlocksFor(request.cache_tokens);
  if (blocks > limits.kv_blocks) {
    return MakeStatus(
        absl::StatusCode::kResourceExhausted, "KV_CACHE_TOO_SMALL",
        absl::StrCat("the request needs ", blocks * limits.kv_block_bytes,
                     " bytes of KV cache for ", request.cache_tokens, " tokens; there are ",
                     limits.kv_blocks * limits.kv_block_bytes));
  }
  const absl::Status deadline = CheckDeadline(request, backlog);
  return deadline.ok() ? CheckQueue(request, backlog, limits) : deadline;
}

}  // namespace llama
