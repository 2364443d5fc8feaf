#ifndef LLAMA_SERVICES_MODEL_ENGINE_LOAD_METER_H_
#define LLAMA_SERVICES_MODEL_ENGINE_LOAD_METER_H_

#include <array>
#include <cstdint>
#include <vector>

#include "absl/time/time.h"

namespace llama {

// What one step did.
struct StepRecord {
  absl::Duration duration;
  int64_t prefill_tokens = 0;  // Of prompts, computed.
  int64_t decode_tokens = 0;
  int64_t sequences = 0;
  absl::Duration max_gap;     // The longest of `gaps`.
  int64_t prompt_tokens = 0;  // Of the requests that began.
  int64_t cached_tokens = 0;  // Of prompts, found in the prefix cache.
  // Nothing but prompts, and of these as much as a step may hold: it shows their speed. Fewer
  // tokens take nearly as long, for all weights are read.
  bool full_prefill = false;
};

// What single requests waited for in one step.
struct StepWaits {
  std::vector<absl::Duration> queue;         // From receipt until it began to be computed.
  std::vector<absl::Duration> first_tokens;  // From receipt until the first token was drawn.
  std::vector<absl::Duration> gaps;          // Between two tokens of one stream that ended now.
};

// Of the last minute, to a second. 0 where nothing is known.
struct LoadFigures {
  double prefill_tokens_per_second = 0;       // Of the steps that computed prompts.
  double decode_tokens_per_second = 0;        // Of the steps that computed replies.
  double best_prefill_tokens_per_second = 0;  // Of the fastest full_prefill.
  double prefix_cache_hit_rate = 0;  // Of the prompt tokens that began, those found in the cache.
  // How much of what they might be replies are; if none ended, those before. 1 where none is known.
  double reply_share = 1;
  absl::Duration mean_step;
  absl::Duration max_gap;
};

// Sums up steps, second by second. Used by one thread at a time.
class LoadMeter {
 public:
  void Record(absl::Time end, const StepRecord& step);
  // A reply of `tokens`, of `limit` at most, has ended, in whatever way.
  void RecordReply(absl::Time end, int64_t tokens, int64_t limit);
  LoadFigures figures(absl::Time now) const;

 private:
  static constexpr int64_t kSeconds = 60;
  struct Second {
    int64_t number = -1;  // Since the epoch.
    int64_t steps = 0;
    StepRecord sum;  // Durations summed; of gaps the longest.
    absl::Duration prefill_time;
    absl::Duration decode_time;
    double best_prefill = 0;
    int64_t reply_tokens = 0;  // Of the replies that ended.
    int64_t reply_limits = 0;  // What they might have been at most.
  };

  Second& SecondOf(absl::Time time);

  std::array<Second, kSeconds> seconds_;  // At number % kSeconds.
};

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_ENGINE_LOAD_METER_H_
