#include "services/model/engine/wait_forecast.h"

#include <algorithm>
#include <cstddef>

namespace llama {
namespace {

constexpr int64_t kMaxSteps = 4096;

struct Progress {
  absl::Duration time;
  int64_t prefill_tokens = 0;
};

// Replies only, until the first of them ends: many steps at once.
Progress Decode(std::vector<Work>& running, const StepCosts& costs) {
  int64_t steps = running.front().reply_tokens;
  for (const Work& work : running) steps = std::min(steps, work.reply_tokens);
  for (Work& work : running) work.reply_tokens -= steps;
  return {costs.decode_step * steps, 0};
}

// One step; `turn` is whose prompt comes first.
Progress Mixed(std::vector<Work>& running, size_t turn, const StepCosts& costs) {
  bool replies = false;
  for (Work& work : running) {
    if (work.prefill_tokens > 0) continue;
    --work.reply_tokens;
    replies = true;
  }
  int64_t left = replies ? costs.prefill_budget : costs.prefill_alone;
  Progress progress;
  for (size_t i = 0; i < running.size() && left > 0; ++i) {
    Work& work = running[(turn + i) % running.size()];
    const int64_t count = std::min(work.prefill_tokens, left);
    if (count == 0) continue;
    work.prefill_tokens -= count;
    left -= count;
    progress.prefill_tokens += count;
    if (work.prefill_tokens == 0) --work.reply_tokens;  // The first one is drawn at once.
  }
  progress.time = costs.decode_step + costs.prefill_token * progress.prefill_tokens;
  return progress;
}

}  // namespace

absl::Duration ForecastWait(WorkAhead ahead, int64_t places, int64_t tokens) {
  std::vector<Work>& running = ahead.running;
  absl::Duration time;
  int64_t begun = 0;
  int64_t computed = 0;
  size_t next = 0;
  const auto begin = [&](int64_t count) {
    begun += count;
    for (; count > 0 && next < ahead.waiting.size(); --count) {
      running.push_back(ahead.waiting[next++]);
    }
  };
  begin(ahead.beginning);
  for (int64_t step = 0; step < kMaxSteps && !running.empty(); ++step) {
    if (begun >= places && computed >= tokens) return time;
    const bool prompts = std::any_of(running.begin(), running.end(),
                                     [](const Work& work) { return work.prefill_tokens > 0; });
    const Progress progress =
        prompts ? Mixed(running, static_cast<size_t>(step) % running.size(), ahead.costs)
                : Decode(running, ahead.costs);
    time += progress.time;
    computed += progress.prefill_tokens;
    begin(static_cast<int64_t>(
        std::erase_if(running, [](const Work& work) { return work.reply_tokens <= 0; })));
  }
  double more = 1;
  if (begun > 0) more = std::max(more, static_cast<double>(places) / static_cast<double>(begun));
  if (computed > 0) {
    more = std::max(more, static_cast<double>(tokens) / static_cast<double>(computed));
  }
  return time * more;
}

}  // namespace llama
