#include "services/model/transformer/attention.h"

#include <algorithm>
#include <cmath>

namespace llama {
namespace {

// Turns scores into the numerators of their softmax, and returns the denominator.
float Exponentiate(float* scores, size_t count, float scale) {
  const float most = *std::max_element(scores, scores + count);
  double sum = 0;
  for (size_t t = 0; t < count; ++t) {
    scores[t] = std::exp((scores[t] - most) * scale);
    sum += scores[t];
  }
  return static_cast<float>(sum);
}

}  // namespace

void Attention::Run(std::span<const KvBlock> blocks, int64_t kv_head, int64_t position,
                    const void* queries, float* scores, size_t scores_stride, float* out) const {
  const auto dim = static_cast<size_t>(head_dim);
  const auto heads = static_cast<size_t>(group);
  const auto count = static_cast<size_t>(position) + 1;
  const bool bf16 = cache.type() == DataType::kBf16;
  constexpr size_t kBlock = kKvBlockTokens;
  for (size_t begin = 0; begin < count; begin += kBlock) {
    const size_t rows = std::min(kBlock, count - begin);
    const void* const keys = cache.Keys(blocks[begin / kBlock], layer, kv_head);
    if (bf16) {
      kernels.mat_mul_bf16(static_cast<const Bf16*>(keys), rows, dim,
                           static_cast<const Bf16*>(queries), heads, scores + begin, scores_stride);
    } else {
      kernels.mat_mul_f32(static_cast<const float*>(keys), rows, dim,
                          static_cast<const float*>(queries), heads, scores + begin, scores_stride);
    }
  }
  std::fill(out, out + heads * dim, 0.0F);
  const float scale = 1 / std::sqrt(static_cast<float>(head_dim));
  // Each denominator stands behind its row of numerators.
  for (size_t q = 0; q < heads; ++q) {
    float* const row = scores + q * scores_stride;
    row[count] = Exponentiate(row, count, scale);
  }
  for (size_t begin = 0; begin < count; begin += kBlock) {
    const size_t rows = std::min(kBlock, count - begin);
    const void* const values = cache.Values(blocks[begin / kBlock], layer, kv_head);
    if (bf16) {
      kernels.weighted_sum_bf16(static_cast<const Bf16*>(values), rows, dim, scores + begin,
                                scores_stride, heads, out);
    } else {
      kernels.weighted_sum_f32(static_cast<const float*>(values), rows, dim, scores + begin,
                               scores_stride, heads, out);
    }
  }
  for (size_t q = 0; q < heads; ++q) {
    const float sum = scores[q * scores_stride + count];
    for (size_t d = 0; d < dim; ++d) out[q * dim + d] /= sum;
  }
}

}  // namespace llama
