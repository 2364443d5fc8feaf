#include "services/model/kernels/kernels_isa.h"

namespace llama {
namespace {

float Value(Bf16 value) { return ToFloat(value); }
float Value(float value) { return value; }

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
void WeightedSum(const V* values, size_t count, size_t dim, const float* weights,
                 size_t weights_stride, size_t n, float* out) {
  for (size_t t = 0; t < count; ++t) {
    for (size_t q = 0; q < n; ++q) {
      const float weight = weights[q * weights_stride + t];
      for (size_t d = 0; d < dim; ++d) out[q * dim + d] += weight * Value(values[t * dim + d]);
    }
  }
}

}  // namespace

const Kernels kScalarKernels = {.name = "scalar",
                                .mat_mul_bf16 = MatMul<Bf16, Bf16>,
                                .mat_mul_bf16_f32 = MatMul<Bf16, float>,
                                .mat_mul_f32 = MatMul<float, float>,
                                .weighted_sum_bf16 = WeightedSum<Bf16>,
                                .weighted_sum_f32 = WeightedSum<float>};

}  // namespace llama
