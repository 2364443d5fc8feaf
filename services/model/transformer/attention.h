#ifndef LLAMA_SERVICES_MODEL_TRANSFORMER_ATTENTION_H_
#define LLAMA_SERVICES_MODEL_TRANSFORMER_ATTENTION_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "services/model/kernels/kernels.h"
#include "services/model/transformer/kv_cache.h"

namespace llama {

// Query rows that are computed together over the same keys and values: enough to fill the tiles of
// the matrix product, few enough that their scores stay in the cache.
inline constexpr int64_t kAttentionRows = 32;

// Tokens at consecutive positions of one sequence.
struct AttentionTokens {
  std::span<const KvBlock> blocks;  // Of the sequence.
  int64_t position = 0;             // Of the first.
  int64_t count = 1;
};

// Grouped-query attention (arXiv:2305.13245) over the keys and values of one head in the paged
// cache, for all query heads that share them: softmax(q·k / √head_dim) v, for each token over the
// positions up to its own. Keys and values are read once for all tokens and heads. The result for a
// token depends on its queries and on what the cache holds up to it, not on the other tokens nor on
// which blocks it lies in.
struct Attention {
  const Kernels& kernels;
  KvCache& cache;
  int64_t layer;
  int64_t head_dim;
  int64_t group;           // Query heads of each key-value head.
  int64_t context_length;  // Most positions.

  // Tokens that Run() takes at once, at most: at least 1.
  static int64_t MostTokens(int64_t group);
  // float32 values of scratch that Run() needs.
  static size_t ScratchFloats(int64_t group, int64_t head_dim, int64_t context_length);

  // queries: for each token, `group` rows of head_dim elements of the cache's type; tokens lie
  // query_stride bytes apart. The result is scratch: [tokens.count, group, head_dim].
  const float* Run(const AttentionTokens& tokens, int64_t kv_head, const std::byte* queries,
                   size_t query_stride, std::span<float> scratch) const;

 private:
  // The kernels for one type of the cache.
  template <typename T>
  struct Steps {
    void (*scores)(const T* const* blocks, size_t count, size_t dim, const T* queries, size_t n,
                   float* scores, size_t scores_stride);
    float (*softmax)(const float* scores, size_t count, float scale, T* out, NextBlocks<T>& next);
    void (*weighted_sum)(const T* const* blocks, size_t count, size_t dim, const T* weights,
                         size_t weights_stride, size_t n, float* out);
  };
  template <typename T>
  const float* Compute(const Steps<T>& steps, const AttentionTokens& tokens, int64_t kv_head,
                       const std::byte* queries, size_t query_stride, float* scratch) const;
};

// Puts the key of one head and token, [head_dim], into its block of the cache, as the `token`th of
// it and in the layout of Kernels::scores_bf16 (rounded) or scores_f32. REQUIRES: head_dim even.
void StoreKey(const float* key, size_t head_dim, size_t token, Bf16* block);
void StoreKey(const float* key, size_t head_dim, size_t token, float* block);

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_TRANSFORMER_ATTENTION_H_
