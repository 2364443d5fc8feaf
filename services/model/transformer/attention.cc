#include "services/model/transformer/attention.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace llama {
namespace {

constexpr size_t kBlock = kKvBlockTokens;
static_assert(kBlock == kKeyTokens);

// Values that are prefetched before the first is used: few enough to stay in the second-level
// cache.
constexpr size_t kPrefetchedBytes = size_t{128} << 10;

size_t Blocks(int64_t context_length) {
  return (static_cast<size_t>(context_length) + kBlock - 1) / kBlock;
}

// Room for the scores of all positions, in whole blocks, and for the denominator; or for weights up
// to a multiple of kSumTokens. Not a power of two for the usual contexts, so that rows do not fall
// on the same cache sets.
size_t ScoresStride(int64_t context_length) { return Blocks(context_length) * kBlock + kBlock; }
static_assert(kSumTokens <= 2 * kBlock);

size_t Rows(int64_t group) { return static_cast<size_t>(Attention::MostTokens(group) * group); }

}  // namespace

int64_t Attention::MostTokens(int64_t group) {
  return std::max<int64_t>(1, kAttentionRows / group);
}

size_t Attention::ScratchFloats(int64_t group, int64_t head_dim, int64_t context_length) {
  // See Compute(): blocks, out, gathered, scores, and weights, which may be half as wide. In whole
  // cache lines.
  const size_t floats =
      Blocks(context_length) * sizeof(void*) / sizeof(float) +
      Rows(group) * (2 * static_cast<size_t>(head_dim) + 2 * ScoresStride(context_length));
  return (floats + 15) / 16 * 16;
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
  const size_t blocks = (end + kBlock - 1) / kBlock;
  const size_t whole_sums = (end + kSumTokens - 1) / kSumTokens * kSumTokens;

  auto** const block = reinterpret_cast<const T**>(scratch);                         // [blocks]
  float* const out = scratch + Blocks(context_length) * sizeof(T*) / sizeof(float);  // [rows, dim]
  float* const scores = out + rows * dim;                            // [rows, stride]
  T* const gathered = reinterpret_cast<T*>(scores + rows * stride);  // [rows, dim]
  T* const weights = gathered + rows * dim;                          // [rows, stride]
  for (size_t i = 0; i < n_tokens; ++i) {
    std::memcpy(gathered + i * heads * dim, queries + i * query_stride, heads * dim * sizeof(T));
  }

  for (size_t b = 0; b < blocks; ++b) {
    block[b] = static_cast<const T*>(cache.Keys(tokens.blocks[b], layer, kv_head));
  }
  steps.scores(block, blocks, dim, gathered, rows, scores, stride);

  for (size_t b = 0; b < blocks; ++b) {
    block[b] = static_cast<const T*>(cache.Values(tokens.blocks[b], layer, kv_head));
  }
  // Memory would idle while the softmax computes.
  NextBlocks<T> values(block, std::min(blocks, kPrefetchedBytes / (kBlock * dim * sizeof(T))), dim);

  // A token sees the positions up to its own: others weigh nothing. Each denominator stands at the
  // end of its row of scores.
  const float scale = 1 / std::sqrt(static_cast<float>(head_dim));
  for (size_t row = 0; row < rows; ++row) {
    float* const row_scores = scores + row * stride;
    T* const row_weights = weights + row * stride;
    const size_t seen = first + row / heads + 1;
    row_scores[stride - 1] = steps.softmax(row_scores, seen, scale, row_weights, values);
    std::fill(row_weights + seen, row_weights + whole_sums, T{});
  }

  steps.weighted_sum(block, end, dim, weights, stride, rows, out);

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
