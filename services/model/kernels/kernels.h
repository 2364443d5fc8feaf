#ifndef LLAMA_SERVICES_MODEL_KERNELS_KERNELS_H_
#define LLAMA_SERVICES_MODEL_KERNELS_KERNELS_H_

#include <cstddef>
#include <span>

#include "absl/strings/string_view.h"
#include "services/model/tensor/tensor.h"

namespace llama {

// The hot loops for one instruction set. They may run on any thread, need no alignment beyond the
// elements' own, and allocate nothing. The order of every sum depends on its length and on the
// instruction set alone: never on how many rows, columns or queries are computed together. Sums are
// float32.
struct Kernels {
  const char* name;  // "scalar", "avx2", "avx512_bf16"

  // y[c, r] = Σ_k w[r, k] x[c, k], for rows r < rows and columns c < n. w: [rows, cols]; x: [n,
  // cols]; y: n rows that lie y_stride apart.
  void (*mat_mul_bf16)(const Bf16* w, size_t rows, size_t cols, const Bf16* x, size_t n, float* y,
                       size_t y_stride);
  // The same with float32 activations.
  void (*mat_mul_bf16_f32)(const Bf16* w, size_t rows, size_t cols, const float* x, size_t n,
                           float* y, size_t y_stride);
  void (*mat_mul_f32)(const float* w, size_t rows, size_t cols, const float* x, size_t n, float* y,
                      size_t y_stride);

  // out[q, d] += Σ_t weights[q, t] values[t, d], in the order of t, for queries q < n. values:
  // [count, dim]; weights: n rows that lie weights_stride apart; out: [n, dim].
  void (*weighted_sum_bf16)(const Bf16* values, size_t count, size_t dim, const float* weights,
                            size_t weights_stride, size_t n, float* out);
  void (*weighted_sum_f32)(const float* values, size_t count, size_t dim, const float* weights,
                           size_t weights_stride, size_t n, float* out);
};

// What this processor can run: scalar, the reference, first; the fastest last.
std::span<const Kernels* const> SupportedKernels();

// The one of that name, or null.
const Kernels* FindKernels(absl::string_view name);

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_KERNELS_KERNELS_H_
