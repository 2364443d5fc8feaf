#include "services/model/engine/wait_forecast.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <utility>

namespace llama {
namespace {

constexpr int64_t kMaxSteps = 4096;

struct Progress {
  absl::Duration time;
  int64_t prefill_tokens = 0;
};

// In proportion between those that are known, and beyond them as between the last two.
absl::Duration DecodeTime(int64_t replies, const StepCosts& costs) {
  const std::vector<DecodeStep>& steps = costs.decode_steps;
  if (steps.size() < 2) return absl::ZeroDuration();
  size_t next = 1;
  while (next + 1 < steps.size() && steps[next].replies < replies) ++next;
  const DecodeStep& from = steps[next - 1];
  const DecodeStep& to = steps[next];
  const absl::Duration reply = (to.time - from.time) / (to.replies - from.replies);
  return from.time + std::max(reply, absl::ZeroDuration()) * (replies - from.replies);
}

// Prompts get as much time as the replies beside them (PrefillPacer).
int64_t PrefillBudget(int64_t replies, const StepCosts& costs) {
  if (replies == 0) return costs.prefill_alone;
  if (costs.prefill_token == absl::ZeroDuration()) return costs.prefill_most;
  const double tokens = absl::FDivDuration(DecodeTime(replies, costs), costs.prefill_token);
  return static_cast<int64_t>(std::clamp(tokens, 1.0, static_cast<double>(costs.prefill_most)));
}

// Replies only, until the first of them ends: many steps at once.
Progress Decode(std::vector<Work>& running, const StepCosts& costs) {
  int64_t steps = running.front().reply_tokens;
  for (const Work& work : running) steps = std::min(steps, work.reply_tokens);
  for (Work& work : running) work.reply_tokens -= steps;
  return {DecodeTime(static_cast<int64_t>(running.size()), costs) * steps, 0};
}

// One step. The prompt that comes first has its next turn after the others.
Progress Mixed(std::vector<Work>& running, const StepCosts& costs) {
  int64_t replies = 0;
  for (Work& work : running) {
    if (work.prefill_tokens > 0) continue;
    --work.reply_tokens;
    ++replies;
  }
  int64_t left = PrefillBudget(replies, costs);
  Progress progress;
  const auto first = std::find_if(running.begin(), running.end(),
                                  [](const Work& work) { return work.prefill_tokens > 0; });
  for (auto it = first; it != running.end() && left > 0; ++it) {
    Work& work = *it;
    const int64_t count = std::min(work.prefill_tokens, left);
    if (count == 0) continue;
    work.prefill_tokens -= count;
    left -= count;
    progress.prefill_tokens += count;
    if (work.prefill_tokens == 0) --work.reply_tokens;  // The first one is drawn at once.
  }
  progress.time = DecodeTime(replies, costs) + costs.prefill_token * progress.prefill_tokens;
  if (first != running.end()) std::rotate(first, std::next(first), running.end());
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
  const auto join = [&] {
    running.insert(running.end(), ahead.arriving.begin(), ahead.arriving.end());
    ahead.arriving.clear();
  };
  begin(ahead.beginning);
  if (running.empty()) join();
  for (int64_t step = 0; step < kMaxSteps && !running.empty(); ++step) {
    if (begun >= places && computed >= tokens) return time;
    const bool prompts = std::any_of(running.begin(), running.end(),
                                     [](const Work& work) { return work.prefill_tokens > 0; });
    const bool one = prompts || !ahead.arriving.empty();
    const Progress progress = one ? Mixed(running, ahead.costs) : Decode(running, ahead.costs);
    time += progress.time;
    computed += progress.prefill_tokens;
    begin(static_cast<int64_t>(
        std::erase_if(running, [](const Work& work) { return work.reply_tokens <= 0; })));
    join();
  }
  double more = 1;
  if (begun > 0) more = std::max(more, static_cast<double>(places) / static_cast<double>(begun));
  if (computed > 0) {
    more = std::max(more, static_cast<double>(tokens) / static_cast<double>(computed));
  }
  return time * more;
}

absl::Duration ForecastWaitWhenFull(WorkAhead ahead, std::span<const Work> typical,
                                    int64_t places) {
  std::vector<Work>& others = ahead.arriving;
  others.insert(others.end(), ahead.waiting.begin(), ahead.waiting.end());
  const auto free = static_cast<size_t>(
      std::max<int64_t>(places - static_cast<int64_t>(ahead.running.size()), 0));
  for (size_t i = 0; others.size() < free && !typical.empty(); ++i) {
    others.push_back(typical[i % typical.size()]);
  }
  others.resize(std::min(others.size(), free));
  ahead.waiting.clear();
  ahead.beginning = 0;
  return ForecastWait(std::move(ahead), 1, 0);
}

}  // namespace llama
