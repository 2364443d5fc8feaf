#ifndef LLAMA_SERVICES_MODEL_KERNELS_KERNELS_H_
#define LLAMA_SERVICES_MODEL_KERNELS_KERNELS_H_

#include <cstddef>
#include <span>

#include "services/model/tensor/tensor.h"

namespace llama {

// The hot loops for one instruction set. They may run on any thread, need no alignment and allocate
// nothing. The order of every sum depends on the length of the row and the instruction set only:
// never on the number of rows or columns computed together.
struct Kernels {
  const char* name;  // "scalar", "avx2", "avx512_bf16"

  // (More operations: attention's dot products, weighted sums, see the transformer.)

  // y[n, r] = Σ_k w[r, k] x[n, k] for r in [row_begin, row_end): bf16 products, float32 sums.
  // x: [n, w.cols], bf16; y: [n, w.rows].
  void (*mat_mul_bf16)(const Matrix& w, size_t row_begin, size_t row_end, const Bf16* x, size_t n,
                       float* y);
  // The same for float32 activations; w is bf16 or f32.
  void (*mat_mul_f32)(const Matrix& w, size_t row_begin, size_t row_end, const float* x, size_t n,
                      float* y);
};

// What this processor can run: scalar, the reference, first; the fastest last.
std::span<const Kernels* const> SupportedKernels();

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_KERNELS_KERNELS_H_
