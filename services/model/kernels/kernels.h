#ifndef LLAMA_SERVICES_MODEL_KERNELS_KERNELS_H_
#define LLAMA_SERVICES_MODEL_KERNELS_KERNELS_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "absl/strings/string_view.h"
#include "services/model/tensor/tensor.h"

namespace llama {

// Tokens whose keys, or values, lie together, for attention below.
inline constexpr size_t kKeyTokens = 16;
// Tokens whose weights are read together.
inline constexpr size_t kSumTokens = 32;
// For pack_bf16 below: columns are packed in tiles of so many, so many elements of each at a time.
inline constexpr size_t kPackColumns = 16;
inline constexpr size_t kPackDepth = 32;
// Elements that n packed columns of `cols` take.
constexpr size_t PackedLength(size_t n, size_t cols) {
  const size_t columns =
      n <= kPackColumns ? n : (n + kPackColumns - 1) / kPackColumns * kPackColumns;
  return columns * ((cols + kPackDepth - 1) / kPackDepth * kPackDepth);
}

// Blocks of the KV cache, kKeyTokens * dim elements each, that are read next: a kernel whose own
// data lie in the cache asks for them, line by line, while it computes.
template <typename T>
class NextBlocks {
 public:
  NextBlocks() = default;  // None.
  NextBlocks(const T* const* blocks, size_t count, size_t dim)
      : block_(blocks), end_(blocks + count), elements_(kKeyTokens * dim) {}

  // Starts to read the next cache line; does nothing after the last. Always inline, as
  // PrefetchBlock() in kernels_isa.h.
  [[gnu::always_inline]] void PrefetchLine() {
    if (block_ == end_) return;
    __builtin_prefetch(*block_ + at_, 0, 2);
    at_ += kLine;
    if (at_ < elements_) return;
    at_ = 0;
    ++block_;
  }

 private:
  static constexpr size_t kLine = 64 / sizeof(T);

  const T* const* block_ = nullptr;
  const T* const* end_ = nullptr;
  size_t elements_ = 0;  // Of a block.
  size_t at_ = 0;
};

// The hot loops for one instruction set. They may run on any thread, need no alignment beyond the
// elements' own, and allocate nothing. The order of every sum depends on its length and on the
// instruction set alone: never on how many rows, columns or queries are computed together. Sums are
// float32.
struct Kernels {
  const char* name;  // "scalar", "avx2", "avx512_bf16", "amx_bf16"

  // Null, or what brings the n columns of mat_mul_bf16 into the order in which it takes them, once
  // for all rows: columns [begin, end) of x, [n, cols], to `packed`, PackedLength(n, cols)
  // elements. REQUIRES: begin a multiple of kPackColumns, end too, or n.
  void (*pack_bf16)(const Bf16* x, size_t cols, size_t n, size_t begin, size_t end, Bf16* packed);
  // y[c, r] = Σ_k w[r, k] x[c, k], for rows r < rows and columns c < n. w: [rows, cols]; x: [n,
  // cols], or what pack_bf16, if there is one, makes of that; y: n rows that lie y_stride apart.
  // REQUIRES: cols >= 1.
  void (*mat_mul_bf16)(const Bf16* w, size_t rows, size_t cols, const Bf16* x, size_t n, float* y,
                       size_t y_stride);
  // The same with float32 activations.
  void (*mat_mul_bf16_f32)(const Bf16* w, size_t rows, size_t cols, const float* x, size_t n,
                           float* y, size_t y_stride);
  void (*mat_mul_f32)(const float* w, size_t rows, size_t cols, const float* x, size_t n, float* y,
                      size_t y_stride);

  // Attention over blocks of kKeyTokens tokens of the KV cache, of one head each, one after the
  // other in a sequence: scores[q, t] = Σ_d keys[d, t] queries[q, d], for queries q < n and all
  // tokens t of `count` blocks. Keys lie transposed in their block, so that the tokens fill the
  // lanes: bf16 in pairs, [dim / 2, kKeyTokens, 2]; float32 [dim, kKeyTokens]. queries: [n, dim];
  // scores: n rows that lie scores_stride apart. REQUIRES: dim even.
  void (*scores_bf16)(const Bf16* const* blocks, size_t count, size_t dim, const Bf16* queries,
                      size_t n, float* scores, size_t scores_stride);
  void (*scores_f32)(const float* const* blocks, size_t count, size_t dim, const float* queries,
                     size_t n, float* scores, size_t scores_stride);
  // The numerators of the softmax of scale * scores; returns the denominator, the sum before they
  // are rounded. `out` may be `scores`. `next`: prefetched, at most a line for every vector of
  // scores. REQUIRES: count >= 1.
  float (*softmax_bf16)(const float* scores, size_t count, float scale, Bf16* out,
                        NextBlocks<Bf16>& next);
  float (*softmax_f32)(const float* scores, size_t count, float scale, float* out,
                       NextBlocks<float>& next);
  // out[q, d] = Σ_t weights[q, t] values[t, d], for queries q < n and tokens t < count. values: in
  // each block [kKeyTokens, dim]; weights: n rows that lie weights_stride apart, whose elements are
  // read up to a multiple of kSumTokens, and zero from `count` on; out: [n, dim]. More tokens of
  // weight zero change nothing. REQUIRES: count >= 1.
  void (*weighted_sum_bf16)(const Bf16* const* blocks, size_t count, size_t dim,
                            const Bf16* weights, size_t weights_stride, size_t n, float* out);
  void (*weighted_sum_f32)(const float* const* blocks, size_t count, size_t dim,
                           const float* weights, size_t weights_stride, size_t n, float* out);

  // out = silu(gate) * up, with silu(x) = x / (1 + e^-x).
  void (*silu_mul_bf16)(const float* gate, const float* up, size_t count, Bf16* out);
  void (*silu_mul_f32)(const float* gate, const float* up, size_t count, float* out);
  // Root mean square normalisation (arXiv:1910.07467): out = x / √(mean of x² + epsilon) * weight.
  void (*rms_norm_bf16)(const float* x, const Bf16* weight, size_t count, double epsilon,
                        Bf16* out);
  void (*rms_norm_bf16_f32)(const float* x, const Bf16* weight, size_t count, double epsilon,
                            float* out);
  void (*rms_norm_f32)(const float* x, const float* weight, size_t count, double epsilon,
                       float* out);
  // To the nearest, ties to even.
  void (*round_bf16)(const float* values, size_t count, Bf16* out);

  // What the speed of the above is compared with. Multiply-adds on registers, `rounds` times as
  // many as sums fit them; returns how many that were.
  uint64_t (*multiply_adds_bf16)(size_t rounds);
  uint64_t (*multiply_adds_f32)(size_t rounds);
  // Reads [rows, cols] bf16 elements, four rows side by side, and returns some sum of them.
  // REQUIRES: rows a multiple of 4, cols one of 32.
  float (*read_rows_bf16)(const void* data, size_t rows, size_t cols);
};

// What this processor can run: scalar, the reference, first; the fastest last.
std::span<const Kernels* const> SupportedKernels();

// The one of that name, or null.
const Kernels* FindKernels(absl::string_view name);

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_KERNELS_KERNELS_H_
