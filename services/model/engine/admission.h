#ifndef LLAMA_SERVICES_MODEL_ENGINE_ADMISSION_H_
#define LLAMA_SERVICES_MODEL_ENGINE_ADMISSION_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/time/time.h"

// Whether a request may join those that wait.
namespace llama {

struct AdmissionLimits {
  int64_t max_waiting = 0;                 // Requests.
  int64_t max_waiting_prefill_tokens = 0;  // Over all requests.
  int64_t kv_blocks = 0;
  int64_t kv_block_bytes = 0;
};

// A number of requests and of their prompt tokens that are not yet computed.
struct Waiting {
  int64_t requests = 0;
  int64_t prefill_tokens = 0;
};

// What there is to do already, and how fast it gets done.
struct Backlog {
  Waiting all = {};
  Waiting callers = {};  // Of these, the ones of the caller who asks.
  // Of the fastest step of late; 0: not known.
  double best_prefill_tokens_per_second = 0;
};

struct AdmissionRequest {
  int64_t prefill_tokens = 0;  // To be computed: not those in the prefix cache.
  int64_t cache_tokens = 0;    // The most positions whose keys and values it will need.
  absl::Duration time_left;    // Until the deadline of the call.
};

// A caller may have up to kShare times as much waiting as there is still free, in requests and in
// tokens (the dynamic thresholds of Choudhury and Hahne, IEEE/ACM ToN 1998): one alone gets 7 of 8
// parts of the queue, two that both want more 7 of 15 each, and who comes next finds a place.
inline constexpr int64_t kShare = 7;

// How much less must be waiting before there is a place. Zero: there is one.
struct Missing {
  int64_t requests = 0;
  int64_t prefill_tokens = 0;
};
Missing FindMissing(const AdmissionRequest& request, const Backlog& backlog,
                    const AdmissionLimits& limits);

// Whether the request can be done at all. Errors: RESOURCE_EXHAUSTED: KV_CACHE_TOO_SMALL;
// DEADLINE_UNREACHABLE, if the prompt alone would take longer than the time left at the best speed
// that was seen.
absl::Status CheckPossible(const AdmissionRequest& request, const Backlog& backlog,
                           const AdmissionLimits& limits);

// RESOURCE_EXHAUSTED: QUEUE_FULL, with `wait` as RetryInfo and the limit in whose way `missing` is.
absl::Status QueueFull(const Backlog& backlog, const AdmissionLimits& limits,
                       const Missing& missing, absl::Duration wait);

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_ENGINE_ADMISSION_H_
