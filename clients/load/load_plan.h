#ifndef LLAMA_CLIENTS_LOAD_LOAD_PLAN_H_
#define LLAMA_CLIENTS_LOAD_LOAD_PLAN_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "llama/v1/gateway_service.pb.h"

namespace llama {

struct LoadOptions {
  int64_t clients = 8;     // Calls under way at the same time, at most.
  int64_t requests = 100;  // In all.
  // Arrivals per second, at random times (a Poisson process). 0: a closed loop, in which each
  // client sends its next request when the last one has ended.
  double rate = 0;
  absl::Duration ramp = {};  // In a closed loop, the time over which the clients begin, one by one.
  std::vector<int64_t> prompt_tokens = {64};  // Lengths; each request has one of them.
  std::vector<int64_t> reply_tokens = {64};
  int64_t shared_tokens = 0;  // How many tokens all prompts begin with alike.
  int64_t distinct = 0;       // Different requests; 0: all of them.
  double cancel_percent = 0;  // Of the requests: cancelled somewhere within the reply.
  absl::Duration deadline = absl::InfiniteDuration();  // Of each call.
  uint64_t seed = 1;
};

// One request of a run.
struct PlannedRequest {
  v1::GenerateRequest request;
  int64_t kind = 0;                     // Equal ones are the same request.
  absl::Duration arrival;               // After the start; 0 in a closed loop.
  std::optional<int64_t> cancel_after;  // So many tokens of the reply.
};

// A run, which depends on the options and the size of the vocabulary alone. Prompts are random
// ids, drawn replies are sampled with fixed seeds and go on past the end of sequence, so that their
// lengths are those asked for.
std::vector<PlannedRequest> PlanLoad(const LoadOptions& options, int64_t vocabulary_size);

}  // namespace llama

#endif  // LLAMA_CLIENTS_LOAD_LOAD_PLAN_H_
