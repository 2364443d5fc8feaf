#ifndef LLAMA_SERVICES_MODEL_TRANSFORMER_ATTENTION_H_
#define LLAMA_SERVICES_MODEL_TRANSFORMER_ATTENTION_H_

#include <cstdint>
#include <span>

#include "services/model/kernels/kernels.h"
#include "services/model/transformer/kv_cache.h"

namespace llama {

// Grouped-query attention (arXiv:2305.13245) of one token over the keys and values of one head in
// the paged cache, for all query heads that share them: softmax(q·k / √head_dim) v, over the
// positions 0 to `position`. Keys and values are read once for the group. The result depends on the
// queries and on what the cache holds there, not on which blocks it lies in.
struct Attention {
  const Kernels& kernels;
  KvCache& cache;
  int64_t layer;
  int64_t head_dim;
  int64_t group;  // Query heads of each key-value head.

  // queries: [group, head_dim], of the cache's type. scores: scratch for `group` rows of
  // `scores_stride` floats, at least position + 2. out: [group, head_dim].
  void Run(std::span<const KvBlock> blocks, int64_t kv_head, int64_t position, const void* queries,
           float* scores, size_t scores_stride, float* out) const;
};

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_TRANSFORMER_ATTENTION_H_
