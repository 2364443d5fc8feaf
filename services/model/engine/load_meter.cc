#include "services/model/engine/load_meter.h"

#include <algorithm>

namespace llama {
namespace {

double Rate(int64_t tokens, absl::Duration time) {
  return time > absl::ZeroDuration() ? static_cast<double>(tokens) / absl::ToDoubleSeconds(time)
                                     : 0;
}

double Ratio(int64_t part, int64_t whole, double otherwise) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : otherwise;
}

void Add(const StepRecord& step, StepRecord& sum) {
  sum.duration += step.duration;
  sum.prefill_tokens += step.prefill_tokens;
  sum.decode_tokens += step.decode_tokens;
  sum.sequences += step.sequences;
  sum.max_gap = std::max(sum.max_gap, step.max_gap);
  sum.prompt_tokens += step.prompt_tokens;
  sum.cached_tokens += step.cached_tokens;
}

}  // namespace

LoadMeter::Second& LoadMeter::SecondOf(absl::Time time) {
  const int64_t number = absl::ToUnixSeconds(time);
  Second& second = seconds_[static_cast<size_t>(number % kSeconds)];
  if (second.number != number) {
    second = Second();
    second.number = number;
  }
  return second;
}

void LoadMeter::RecordReply(absl::Time end, int64_t tokens, int64_t limit) {
  Second& second = SecondOf(end);
  second.reply_tokens += tokens;
  second.reply_limits += limit;
}

void LoadMeter::Record(absl::Time end, const StepRecord& step) {
  Second& second = SecondOf(end);
  ++second.steps;
  Add(step, second.sum);
  if (step.prefill_tokens > 0) second.prefill_time += step.duration;
  if (step.full_prefill) {
    second.best_prefill = std::max(second.best_prefill, Rate(step.prefill_tokens, step.duration));
  }
  if (step.decode_tokens > 0) second.decode_time += step.duration;
}

LoadFigures LoadMeter::figures(absl::Time now) const {
  const int64_t oldest = absl::ToUnixSeconds(now) - kSeconds + 1;
  Second sum;
  Second ever;  // As far as it is still there: of the replies.
  for (const Second& second : seconds_) {
    ever.reply_tokens += second.reply_tokens;
    ever.reply_limits += second.reply_limits;
    if (second.number < oldest) continue;
    sum.reply_tokens += second.reply_tokens;
    sum.reply_limits += second.reply_limits;
    sum.steps += second.steps;
    Add(second.sum, sum.sum);
    sum.prefill_time += second.prefill_time;
    sum.decode_time += second.decode_time;
    sum.best_prefill = std::max(sum.best_prefill, second.best_prefill);
  }
  LoadFigures figures;
  figures.prefill_tokens_per_second = Rate(sum.sum.prefill_tokens, sum.prefill_time);
  figures.decode_tokens_per_second = Rate(sum.sum.decode_tokens, sum.decode_time);
  figures.best_prefill_tokens_per_second = sum.best_prefill;
  // Of prompts that began before the last minute, some may be found within it.
  figures.prefix_cache_hit_rate =
      std::min(Ratio(sum.sum.cached_tokens, sum.sum.prompt_tokens, 0), 1.0);
  figures.reply_share =
      Ratio(sum.reply_tokens, sum.reply_limits, Ratio(ever.reply_tokens, ever.reply_limits, 1));
  if (sum.steps > 0) figures.mean_step = sum.sum.duration / sum.steps;
  figures.max_gap = sum.sum.max_gap;
  return figures;
}

}  // namespace llama
