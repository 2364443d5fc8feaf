#include "services/model/engine/prefill_pacer.h"

#include <algorithm>
#include <bit>

namespace llama {

int64_t PrefillPacer::Budget(int64_t decodes) const {
  if (decodes == 0) return alone_;
  if (since_probe_ >= kProbeInterval || decodes >= 2 * probed_decodes_ ||
      2 * decodes <= probed_decodes_) {
    return 0;
  }
  // At first so many that the step is not too long even where every token takes the same.
  return std::min(budget_ > 0 ? budget_ : 2 * decodes, most_);
}

void PrefillPacer::Median::Add(absl::Duration value) {
  last_[seen_++ % last_.size()] = value;
  auto sorted = last_;
  const size_t count = std::min(seen_, sorted.size());
  std::sort(sorted.begin(), sorted.begin() + static_cast<ptrdiff_t>(count));
  median_ = sorted[(count - 1) / 2];
}

std::vector<DecodeStep> PrefillPacer::decode_steps() const {
  std::vector<DecodeStep> steps;
  for (const Magnitude& magnitude : magnitudes_) {
    if (magnitude.decodes > 0) steps.push_back({magnitude.decodes, magnitude.step.value()});
  }
  return steps;
}

void PrefillPacer::Record(absl::Duration duration, int64_t decodes, int64_t prefill_tokens) {
  if (decodes == 0) {
    if (prefill_tokens == 0) return;
    // A step that did not use the budget tells only whether even that was too much.
    const bool tells = prefill_tokens >= alone_ || duration > kLongestPromptStep;
    if (tells || prefill_token_ == absl::ZeroDuration()) prefill_token_ = duration / prefill_tokens;
    if (!tells) return;
    const double scale = absl::FDivDuration(kLongestPromptStep, duration);
    const double tokens = std::min(static_cast<double>(prefill_tokens) * scale, 1e9);
    alone_ = std::clamp(static_cast<int64_t>(tokens), std::min(kLeast, most_), most_);
    return;
  }
  if (prefill_tokens == 0) {
    since_probe_ = 0;
    probed_decodes_ = decodes;
    decode_step_.Add(duration);
    const size_t log = std::bit_width(static_cast<uint64_t>(decodes)) - 1;
    Magnitude& magnitude = magnitudes_[std::min(log, magnitudes_.size() - 1)];
    magnitude.decodes = decodes;
    magnitude.step.Add(duration);
    return;
  }
  ++since_probe_;
  const absl::Duration added = std::max(duration - decode_step(), absl::ZeroDuration());
  added_token_.Add(added / prefill_tokens);
  prefill_token_ = added_token_.value();
  // A step that did not use the budget tells only whether even that was too much.
  if (prefill_tokens < budget_ && added <= decode_step()) return;
  // At most double: steps that were quick by chance must not make the next one far too long.
  const absl::Duration token = std::max(prefill_token_, decode_step() / (2 * prefill_tokens));
  budget_ = token > absl::ZeroDuration()
                ? std::max<int64_t>(absl::ToInt64Nanoseconds(decode_step()) /
                                        std::max<int64_t>(absl::ToInt64Nanoseconds(token), 1),
                                    1)
                : 2 * prefill_tokens;
}

}  // namespace llama
