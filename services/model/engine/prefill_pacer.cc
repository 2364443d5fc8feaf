#include "services/model/engine/prefill_pacer.h"

#include <algorithm>

namespace llama {

int64_t PrefillPacer::Budget(int64_t decodes) const {
  if (decodes == 0) return most_;
  if (since_probe_ >= kProbeInterval || decodes >= 2 * probed_decodes_ ||
      2 * decodes <= probed_decodes_) {
    return 0;
  }
  // At first so many that the step is not too long even where every token takes the same.
  return std::min(budget_ > 0 ? budget_ : 2 * decodes, most_);
}

void PrefillPacer::Record(absl::Duration duration, int64_t decodes, int64_t prefill_tokens) {
  if (decodes == 0) {
    if (prefill_tokens > 0) prefill_token_ = duration / prefill_tokens;
    return;
  }
  if (prefill_tokens == 0) {
    since_probe_ = 0;
    probed_decodes_ = decodes;
    decode_steps_[static_cast<size_t>(decode_steps_seen_++) % decode_steps_.size()] = duration;
    auto last = decode_steps_;
    const auto end =
        last.begin() + std::min<int64_t>(decode_steps_seen_, static_cast<int64_t>(last.size()));
    const auto middle = last.begin() + (end - last.begin() - 1) / 2;
    std::nth_element(last.begin(), middle, end);
    decode_step_ = *middle;
    return;
  }
  ++since_probe_;
  const absl::Duration added = std::max(duration - decode_step_, absl::ZeroDuration());
  prefill_token_ = added / prefill_tokens;
  // At most double: a step that was quick by chance must not make the next one far too long.
  int64_t fitting = 2 * prefill_tokens;
  if (added > decode_step_ / 2) {
    fitting = static_cast<int64_t>(static_cast<double>(prefill_tokens) *
                                   absl::FDivDuration(decode_step_, added));
  }
  // A step that did not use the budget tells only whether even that was too much.
  if (prefill_tokens >= budget_ || added > decode_step_) budget_ = std::max<int64_t>(fitting, 1);
}

}  // namespace llama
