#ifndef LLAMA_SERVICES_MODEL_ENGINE_WAIT_FORECAST_H_
#define LLAMA_SERVICES_MODEL_ENGINE_WAIT_FORECAST_H_

#include <cstdint>
#include <span>
#include <vector>

#include "absl/time/time.h"
#include "services/model/engine/prefill_pacer.h"

namespace llama {

// What is still to do for a request.
struct Work {
  int64_t prefill_tokens = 0;  // Of the prompt, not yet computed.
  int64_t reply_tokens = 1;    // Probably still to be drawn.
};

struct StepCosts {
  // For some numbers of replies: none, or at least two, ascending from 0.
  std::vector<DecodeStep> decode_steps;
  absl::Duration prefill_token;  // What a prompt token adds.
  int64_t prefill_alone = 1;     // Prompt tokens of a step without replies.
  int64_t prefill_most = 1;      // Of any step.
};

// What the engine has to do, seen at one moment.
struct WorkAhead {
  absl::Time seen;
  std::vector<Work> running;  // In the order in which prompts take turns.
  std::vector<Work>
      arriving;               // Have places, and begin after the first step if any of `running` do.
  std::vector<Work> waiting;  // In the order in which they will begin.
  int64_t beginning = 0;      // So many of those that wait begin with the next step.
  StepCosts costs;
};

// How long after `ahead.seen` another `places` requests will have begun and another `tokens` prompt
// tokens will be computed, if nobody comes or goes: goes through the steps ahead as the scheduler
// will, whose order tells more than any mean. At most a few thousand steps; beyond them it assumes
// that things go on alike.
absl::Duration ForecastWait(WorkAhead ahead, int64_t places, int64_t tokens);

// How long after `ahead.seen` the first of `places` requests that run would end: of those ahead,
// and where these are too few, of others like `typical`, over and over, that begin now.
absl::Duration ForecastWaitWhenFull(WorkAhead ahead, std::span<const Work> typical, int64_t places);

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_ENGINE_WAIT_FORECAST_H_
