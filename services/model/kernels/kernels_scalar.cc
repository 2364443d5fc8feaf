#include <algorithm>
#include <cmath>

#include "services/model/kernels/kernels_isa.h"

namespace llama {
namespace {

float Value(Bf16 value) { return ToFloat(value); }
float Value(float value) { return value; }
void Set(float value, float* out) { *out = value; }
void Set(float value, Bf16* out) { *out = ToBf16(value); }

template <typename W, typename X>
void MatMul(const W* w, size_t rows, size_t cols, const X* x, size_t n, float* y, size_t y_stride) {
  for (size_t r = 0; r < rows; ++r) {
    for (size_t c = 0; c < n; ++c) {
      float sum = 0;
      for (size_t k = 0; k < cols; ++k) sum += Value(w[r * cols + k]) * Value(x[c * cols + k]);
      y[c * y_stride + r] = sum;
    }
  }
}

template <typename V>
void WeightedSum(const V* const* blocks, size_t count, size_t dim, const V* weights,
                 size_t weights_stride, size_t n, float* out) {
  std::fill(out, out + n * dim, 0.0F);
  for (size_t t = 0; t < count; ++t) {
    const V* const values = blocks[t / kKeyTokens] + t % kKeyTokens * dim;
    for (size_t q = 0; q < n; ++q) {
      const float weight = Value(weights[q * weights_stride + t]);
      for (size_t d = 0; d < dim; ++d) out[q * dim + d] += weight * Value(values[d]);
    }
  }
}

// Keys as kernels.h says.
template <typename T>
void Scores(const T* const* blocks, size_t count, size_t dim, const T* queries, size_t n,
            float* scores, size_t scores_stride) {
  constexpr size_t kPer = sizeof(T) == 2 ? 2 : 1;
  for (size_t q = 0; q < n; ++q) {
    for (size_t i = 0; i < count * kKeyTokens; ++i) {
      const T* const keys = blocks[i / kKeyTokens];
      const size_t t = i % kKeyTokens;
      float sum = 0;
      for (size_t d = 0; d < dim; ++d) {
        const T key = keys[d / kPer * kPer * kKeyTokens + t * kPer + d % kPer];
        sum += Value(key) * Value(queries[q * dim + d]);
      }
      scores[q * scores_stride + i] = sum;
    }
  }
}

template <typename T>
float Softmax(const float* scores, size_t count, float scale, T* out, NextBlocks<T>& /*next*/) {
  const float greatest = *std::max_element(scores, scores + count);
  float sum = 0;
  for (size_t t = 0; t < count; ++t) {
    const float weight = std::exp((scores[t] - greatest) * scale);
    sum += weight;
    Set(weight, out + t);
  }
  return sum;
}

template <typename T>
void SiluMul(const float* gate, const float* up, size_t count, T* out) {
  for (size_t i = 0; i < count; ++i) Set(gate[i] / (1 + std::exp(-gate[i])) * up[i], out + i);
}

template <typename W, typename T>
void RmsNorm(const float* x, const W* weight, size_t count, double epsilon, T* out) {
  double sum = 0;
  for (size_t i = 0; i < count; ++i) sum += double{x[i]} * x[i];
  const auto scale = static_cast<float>(1 / std::sqrt(sum / static_cast<double>(count) + epsilon));
  for (size_t i = 0; i < count; ++i) Set(x[i] * scale * Value(weight[i]), out + i);
}

// Four sums, as many as the processor starts additions before the first has ended, or about so.
uint64_t MultiplyAdds(size_t rounds) {
  float sums[4] = {};
  float factor = 1;
  for (size_t round = 0; round < rounds; ++round) {
    for (float& sum : sums) {
      sum += factor * factor;
      asm volatile("" : "+m"(sum));
    }
  }
  return rounds * 4;
}

float ReadRows(const void* data, size_t rows, size_t cols) {
  const auto* const w = static_cast<const Bf16*>(data);
  float sum = 0;
  for (size_t i = 0; i < rows * cols; ++i) sum += Value(w[i]);
  return sum;
}

void Round(const float* values, size_t count, Bf16* out) {
  for (size_t i = 0; i < count; ++i) out[i] = ToBf16(values[i]);
}

}  // namespace

const Kernels kScalarKernels = {.name = "scalar",
                                .pack_bf16 = nullptr,
                                .mat_mul_bf16 = MatMul<Bf16, Bf16>,
                                .mat_mul_bf16_f32 = MatMul<Bf16, float>,
                                .mat_mul_f32 = MatMul<float, float>,
                                .scores_bf16 = Scores<Bf16>,
                                .scores_f32 = Scores<float>,
                                .softmax_bf16 = Softmax<Bf16>,
                                .softmax_f32 = Softmax<float>,
                                .weighted_sum_bf16 = WeightedSum<Bf16>,
                                .weighted_sum_f32 = WeightedSum<float>,
                                .silu_mul_bf16 = SiluMul<Bf16>,
                                .silu_mul_f32 = SiluMul<float>,
                                .rms_norm_bf16 = RmsNorm<Bf16, Bf16>,
                                .rms_norm_bf16_f32 = RmsNorm<Bf16, float>,
                                .rms_norm_f32 = RmsNorm<float, float>,
                                .round_bf16 = Round,
                                .multiply_adds_bf16 = MultiplyAdds,
                                .multiply_adds_f32 = MultiplyAdds,
                                .read_rows_bf16 = ReadRows};

}  // namespace llama
