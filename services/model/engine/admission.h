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

// What there is to do already, and how fast it gets done.
struct Backlog {
  int64_t waiting = 0;         // Requests.
  int64_t prefill_tokens = 0;  // Prompt tokens not yet computed, over all requests.
  // Of the last minute; 0: not known.
  double prefill_tokens_per_second = 0;
  double best_prefill_tokens_per_second = 0;  // Of the fastest step.
};

struct AdmissionRequest {
  int64_t prefill_tokens = 0;
  int64_t cache_tokens = 0;  // The most positions whose keys and values it will need.
  absl::Duration time_left;  // Until the deadline of the call.
};

// Errors: RESOURCE_EXHAUSTED: KV_CACHE_TOO_SMALL; DEADLINE_UNREACHABLE, if the prompt alone would
// take longer than the time left at the best speed that was seen; QUEUE_FULL, with the time that
// the backlog will take as RetryInfo.
absl::Status CheckAdmission(const AdmissionRequest& request, const Backlog& backlog,
                            const AdmissionLimits& limits);

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_ENGINE_ADMISSION_H_
