#include "services/model/transformer/attention.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace llama {
namespace {

constexpr size_t kBlock = kKvBlockTokens;
static_assert(kBlock == kKeyTokens);

// Starts to read a block that comes later: it may lie far from the one before, where the processor
// does not foresee it.
void Prefetch(const void* block, size_t bytes) {
  for (size_t at = 0; at < bytes; at += 64) {
    __builtin_prefetch(static_cast<const std::byte*>(block) + at, 0, 2);
  }
}

// Room for the scores of all positions, in whole blocks, and for the denominator. Not a power of
// two for the usual contexts, so that rows do not fall on the same cache sets.
size_t ScoresStride(int64_t context_length) {
  return (static_cast<size_t>(context_length) + kBlock - 1) / kBlock * kBlock + kBlock;
}

size_t Rows(int64_t group) { return static_cast<size_t>(Attention::MostTokens(group) * group); }

}  // namespace

int64_t Attention::MostTokens(int64_t group) {
  return std::max<int64_t>(1, kAttentionRows / group);
}

size_t Attention::ScratchFloats(int64_t group, int64_t head_dim, int64_t context_length) {
  // See Run(): out, gathered, scores, and weights, which may be half as wide.
  return Rows(group) * (2 * static_cast<size_t>(head_dim) + 2 * ScoresStride(context_length));
}

const float* Attention::Run(const AttentionTokens& tokens, int64_t kv_head,
                            const std::byte* queries, size_t query_stride,
                            std::span<float> scratch) const {
  if (cache.type() == DataType::kBf16) {
    return Compute<Bf16>({kernels.scores_bf16, kernels.softmax_bf16, kernels.weighted_sum_bf16},
                         tokens, kv_head, queries, query_stride, scratch.data());
  }
  return Compute<float>({kernels.scores_f32, kernels.softmax_f32, kernels.weighted_sum_f32}, tokens,
                        kv_head, queries, query_stride, scratch.data());
}

template <typename T>
const float* Attention::Compute(const Steps<T>& steps, const AttentionTokens& tokens,
                                int64_t kv_head, const std::byte* queries, size_t query_stride,
                                float* scratch) const {
  const auto dim = static_cast<size_t>(head_dim);
  const auto heads = static_cast<size_t>(group);
  const auto first = static_cast<size_t>(tokens.position);
  const auto n_tokens = static_cast<size_t>(tokens.count);
  const size_t end = first + n_tokens;  // Positions that the last token sees.
  const size_t rows = n_tokens * heads;
  const size_t stride = ScoresStride(context_length);
  const size_t block_bytes = kBlock * dim * sizeof(T);

  float* const out = scratch;                                        // [rows, dim]
  float* const scores = out + rows * dim;                            // [rows, stride]
  T* const gathered = reinterpret_cast<T*>(scores + rows * stride);  // [rows, dim]
  T* const weights = gathered + rows * dim;                          // [rows, stride]
  for (size_t i = 0; i < n_tokens; ++i) {
    std::memcpy(gathered + i * heads * dim, queries + i * query_stride, heads * dim * sizeof(T));
  }

  for (size_t begin = 0; begin < end; begin += kBlock) {
    if (begin + kBlock < end) {
      Prefetch(cache.Keys(tokens.blocks[begin / kBlock + 1], layer, kv_head), block_bytes);
    }
    const void* const keys = cache.Keys(tokens.blocks[begin / kBlock], layer, kv_head);
    steps.scores(static_cast<const T*>(keys), dim, gathered, rows, scores + begin, stride);
  }

  // Each denominator stands at the end of its row of scores.
  const float scale = 1 / std::sqrt(static_cast<float>(head_dim));
  for (size_t row = 0; row < rows; ++row) {
    float* const row_scores = scores + row * stride;
    row_scores[stride - 1] =
        steps.softmax(row_scores, first + row / heads + 1, scale, weights + row * stride);
  }

  std::fill(out, out + rows * dim, 0.0F);
  for (size_t begin = 0; begin < end; begin += kBlock) {
    if (begin + kBlock < end) {
      Prefetch(cache.Values(tokens.blocks[begin / kBlock + 1], layer, kv_head), block_bytes);
    }
    const auto* const values =
        static_cast<const T*>(cache.Values(tokens.blocks[begin / kBlock], layer, kv_head));
    if (begin + kBlock <= first + 1) {
      steps.weighted_sum(values, kBlock, dim, weights + begin, stride, rows, out);
      continue;
    }
    // Not all tokens see all of this block.
    for (size_t i = 0; i < n_tokens; ++i) {
      if (begin > first + i) continue;
      const size_t row = i * heads;
      steps.weighted_sum(values, std::min(kBlock, first + i + 1 - begin), dim,
                         weights + row * stride + begin, stride, heads, out + row * dim);
    }
  }

  for (size_t row = 0; row < rows; ++row) {
    const float factor = 1 / scores[row * stride + stride - 1];
    for (size_t d = 0; d < dim; ++d) out[row * dim + d] *= factor;
  }
  return out;
}

void StoreKey(const float* key, size_t head_dim, size_t token, Bf16* block) {
  for (size_t d = 0; d < head_dim; d += 2) {
    block[d * kBlock + 2 * token] = ToBf16(key[d]);
    block[d * kBlock + 2 * token + 1] = ToBf16(key[d + 1]);
  }
}

void StoreKey(const float* key, size_t head_dim, size_t token, float* block) {
  for (size_t d = 0; d < head_dim; ++d) block[d * kBlock + token] = key[d];
}

}  // namespace llama
