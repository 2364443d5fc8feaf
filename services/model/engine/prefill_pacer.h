#ifndef LLAMA_SERVICES_MODEL_ENGINE_PREFILL_PACER_H_
#define LLAMA_SERVICES_MODEL_ENGINE_PREFILL_PACER_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/time/time.h"

namespace llama {

// What a step without prompts takes.
struct DecodeStep {
  int64_t replies = 0;
  absl::Duration time;
};

// How many prompt tokens a step may hold. Beside the next tokens of running replies, so that no
// reply stalls for a prompt: about so many that the step takes twice as long as the replies alone,
// which then get half of the time. (Sarathi-Serve, arXiv:2403.02310, has a fixed number, which
// fits one model and machine.) Without replies, so many as take kLongestPromptStep: between steps
// those who have left are noticed. Learns from the steps: from those without
// prompts what the replies take, from those with both what a prompt token adds. Used by one thread
// at a time.
class PrefillPacer {
 public:
  static constexpr absl::Duration kLongestPromptStep = absl::Milliseconds(800);

  // `most` is the limit of a step in any case.
  explicit PrefillPacer(int64_t most) : most_(most), alone_(std::min(kFirst, most)) {}

  // For the next step. 0, now and then, for a step that shows what the replies alone take.
  int64_t Budget(int64_t decodes) const;
  // What a step took.
  void Record(absl::Duration duration, int64_t decodes, int64_t prefill_tokens);

  // What a step takes that computes replies only; 0 if not known.
  absl::Duration decode_step() const { return decode_step_.value(); }
  // The same for several numbers of replies, ascending: of each magnitude, for the last that there
  // was.
  std::vector<DecodeStep> decode_steps() const;
  // What a prompt token adds to a step.
  absl::Duration prefill_token() const { return prefill_token_; }

 private:
  static constexpr int64_t kProbeInterval = 64;
  static constexpr int64_t kFirst = 64;  // Of whose speed nothing is known.
  static constexpr int64_t kLeast = 16;  // Fewer save no time: all weights are read in any case.

  // The median of the last three values: one hiccup does not count.
  class Median {
   public:
    void Add(absl::Duration value);
    absl::Duration value() const { return median_; }

   private:
    std::array<absl::Duration, 3> last_ = {};
    size_t seen_ = 0;
    absl::Duration median_;
  };

  struct Magnitude {
    int64_t decodes = 0;  // Of the last step.
    Median step;
  };

  const int64_t most_;
  int64_t alone_;                         // Without replies.
  int64_t budget_ = 0;                    // With replies; 0: not known.
  int64_t since_probe_ = kProbeInterval;  // Steps with both.
  int64_t probed_decodes_ = 0;
  Median decode_step_;
  std::array<Magnitude, 16> magnitudes_;  // Of steps with 2^i replies and more.
  Median added_token_;                    // What a prompt token added to a step with replies.
  absl::Duration prefill_token_;          // Of the last step with prompts of either kind.
};

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_ENGINE_PREFILL_PACER_H_
