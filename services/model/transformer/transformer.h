#ifndef LLAMA_SERVICES_MODEL_TRANSFORMER_TRANSFORMER_H_
#define LLAMA_SERVICES_MODEL_TRANSFORMER_TRANSFORMER_H_

#include <cstdint>
#include <memory>
#include <span>

#include "absl/functional/function_ref.h"
#include "services/model/checkpoint/checkpoint.h"
#include "services/model/kernels/kernels.h"
#include "services/model/threads/thread_team.h"
#include "services/model/transformer/kv_cache.h"

namespace llama {

// One token of a batch.
struct BatchToken {
  uint32_t token = 0;     // Below vocab_size.
  uint32_t position = 0;  // Below context_length.
  // The blocks of the token's sequence, at least position / kKvBlockTokens + 1 of them; the tokens
  // of one sequence share it. Everything before `position` is in the cache or earlier in the batch.
  std::span<const KvBlock> blocks;
  bool wants_logits = false;
};

struct TransformerOptions {
  // Of the activations: kBf16 (rounded at the inputs of matrix products) or kF32 (the reference).
  DataType activations = DataType::kBf16;
  int64_t context_length = 4096;
  // The most tokens of a batch, and the most of them that want logits.
  int64_t max_batch_tokens = 512;
  int64_t max_batch_logits = 64;
  // Multiply-adds of a step from which on all threads take part: the caller alone does some
  // microseconds of work sooner than the others wake. Changes no result.
  int64_t worth_waking = int64_t{1} << 18;
};

// The forward pass of Llama 2 ("Llama 2: Open Foundation and Fine-Tuned Chat Models",
// arXiv:2307.09288; RoPE arXiv:2104.09864, SwiGLU arXiv:2002.05202, GQA arXiv:2305.13245). Used by
// one thread at a time.
//
// The logits of a token depend on the weights, on the tokens of its sequence up to it, on the
// instruction set and on the type of the activations: not on the rest of the batch, on how the
// sequence was cut into batches, nor on the number of threads. To the bit.
class Transformer {
 public:
  // Weights, kernels and team must outlive the transformer. Allocates all that Forward() needs.
  // The KV cache's type is that of the activations.
  Transformer(const ModelConfig& config, const ModelWeights& weights, const Kernels& kernels,
              ThreadTeam& team, const TransformerOptions& options);
  ~Transformer();

  // Runs the batch: writes the keys and values of its tokens to `cache`, and to `logits` a row for
  // each token that wants one, in order: [tokens that want logits, vocab_size]. Allocates nothing.
  // REQUIRES: 1 to max_batch_tokens tokens, of which at most max_batch_logits want logits; the
  // tokens of one sequence are in order of position. `after_layer` is called after each layer: a
  // large batch may take a second.
  void Forward(
      std::span<const BatchToken> batch, KvCache& cache, std::span<float> logits,
      absl::FunctionRef<void()> after_layer = [] {});

  // The threads that it computes on, the caller of Forward() among them; theirs between its runs.
  ThreadTeam& team() const;
  const TransformerOptions& options() const;
  // Bytes of the buffers that a transformer with these options allocates.
  static int64_t ScratchBytes(const ModelConfig& config, const Kernels& kernels,
                              const TransformerOptions& options, int64_t threads);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_TRANSFORMER_TRANSFORMER_H_
