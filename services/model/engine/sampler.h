#ifndef LLAMA_SERVICES_MODEL_ENGINE_SAMPLER_H_
#define LLAMA_SERVICES_MODEL_ENGINE_SAMPLER_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "services/model/engine/request.h"

namespace llama {

struct DrawContext {
  std::span<const TokenId> tokens = {};     // Prompt and reply so far.
  std::span<const TokenId> forbidden = {};  // Not to be drawn.
  uint64_t seed = 0;                        // Of this request; unused at temperature 0.
};

// Draws next tokens as SamplingOptions in common.proto says. The draw depends on the logits, the
// options, the seed and the number of tokens so far: on nothing else. Reuses its buffers; used by
// one thread at a time.
class Sampler {
 public:
  // REQUIRES: finite logits, more of them than are forbidden; options in range.
  TokenId Draw(std::span<const float> logits, const SamplingOptions& options,
               const DrawContext& context);
  // Bytes of the buffers that it keeps, at most.
  static int64_t ScratchBytes(int64_t vocab_size) {
    return vocab_size * static_cast<int64_t>(sizeof(int64_t) + sizeof(TokenId) +
                                             2 * sizeof(double) + sizeof(size_t));
  }

 private:
  void Adjust(std::span<const float> logits, const SamplingOptions& options,
              const DrawContext& context);
  template <typename KeyAt, typename Enough>
  double LeastKept(std::vector<double>& keys, const KeyAt& key_at, const Enough& enough);
  void KeepFrom(const std::vector<double>& keys, double least);
  TokenId DrawFrom(double least, double uniform) const;

  std::vector<int64_t> counts_;  // Occurrences of each token within the penalty window.
  // The choices that are left, by ascending id.
  std::vector<TokenId> ids_;
  std::vector<double> logits_;   // Adjusted.
  std::vector<double> weights_;  // In proportion to the probabilities.
  double most_ = 0;              // The largest of the logits.
  std::vector<size_t> order_;    // Some choices, the most likely first.
};

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_ENGINE_SAMPLER_H_
