#if defined(__x86_64__)
#include <immintrin.h>

#include "services/model/kernels/kernels_isa.h"

#define LLAMA_TARGET [[gnu::target("avx512f,avx512bw,avx512vl,avx512bf16")]]

namespace llama {
namespace {

using Vector = __m512;
constexpr size_t kLanes = 16;
constexpr size_t kTileRows = 4;
constexpr size_t kTileCols = 4;

LLAMA_TARGET inline Vector Zero() { return _mm512_setzero_ps(); }
LLAMA_TARGET inline Vector Fma(Vector a, Vector b, Vector sum) {
  return _mm512_fmadd_ps(a, b, sum);
}
LLAMA_TARGET inline Vector Broadcast(float value) { return _mm512_set1_ps(value); }
LLAMA_TARGET inline __mmask16 First(size_t n) {
  return static_cast<__mmask16>((uint32_t{1} << n) - 1);
}
LLAMA_TARGET inline Vector Widen(__m256i halves) {
  const __mmask16 all =
      0xFFFF;  // Masked: the plain form makes g++ 12 warn of uninitialized values.
  return _mm512_castsi512_ps(
      _mm512_maskz_slli_epi32(all, _mm512_maskz_cvtepu16_epi32(all, halves), 16));
}
LLAMA_TARGET inline Vector Load(const float* p) { return _mm512_loadu_ps(p); }
LLAMA_TARGET inline Vector Load(const Bf16* p) {
  return Widen(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
// The first n < kLanes values, then zeros.
LLAMA_TARGET inline Vector LoadFirst(const float* p, size_t n) {
  return _mm512_maskz_loadu_ps(First(n), p);
}
LLAMA_TARGET inline Vector LoadFirst(const Bf16* p, size_t n) {
  return Widen(_mm256_maskz_loadu_epi16(First(n), p));
}
LLAMA_TARGET inline void Store(float* p, Vector v) { _mm512_storeu_ps(p, v); }
LLAMA_TARGET inline void StoreFirst(float* p, size_t n, Vector v) {
  _mm512_mask_storeu_ps(p, First(n), v);
}
LLAMA_TARGET inline float Sum(Vector v) {
  // Through memory: g++ 12 warns of uninitialized values inside _mm512_reduce_add_ps() and the
  // casts to 256 bits.
  alignas(64) float lanes[kLanes];
  _mm512_store_ps(lanes, v);
  for (size_t half = kLanes / 2; half > 0; half /= 2) {
    for (size_t i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  }
  return lanes[0];
}

// Pairs of bf16 products are added within a lane by vdpbf16ps, which also takes denormals, in and
// out, for zero.
struct DotBf16 {
  using W = Bf16;
  using X = Bf16;
  using WVector = __m512bh;
  static constexpr size_t kStep = 2 * kLanes;
  LLAMA_TARGET static __m512bh LoadW(const Bf16* p) {
    return reinterpret_cast<__m512bh>(_mm512_loadu_si512(p));
  }
  LLAMA_TARGET static __m512bh LoadX(const Bf16* p) { return LoadW(p); }
  LLAMA_TARGET static __m512bh LoadWFirst(const Bf16* p, size_t n) {
    return reinterpret_cast<__m512bh>(
        _mm512_maskz_loadu_epi16(static_cast<__mmask32>((uint64_t{1} << n) - 1), p));
  }
  LLAMA_TARGET static __m512bh LoadXFirst(const Bf16* p, size_t n) { return LoadWFirst(p, n); }
  LLAMA_TARGET static Vector Step(__m512bh w, __m512bh x, Vector sum) {
    return _mm512_dpbf16_ps(sum, w, x);
  }
};

template <typename Weight>
struct DotF32 {
  using W = Weight;
  using X = float;
  using WVector = Vector;
  static constexpr size_t kStep = kLanes;
  LLAMA_TARGET static Vector LoadW(const W* p) { return Load(p); }
  LLAMA_TARGET static Vector LoadX(const float* p) { return Load(p); }
  LLAMA_TARGET static Vector LoadWFirst(const W* p, size_t n) { return LoadFirst(p, n); }
  LLAMA_TARGET static Vector LoadXFirst(const float* p, size_t n) { return LoadFirst(p, n); }
  LLAMA_TARGET static Vector Step(Vector w, Vector x, Vector sum) { return Fma(w, x, sum); }
};

#include "services/model/kernels/tiles.h"

}  // namespace

const Kernels kAvx512Bf16Kernels = {.name = "avx512_bf16",
                                    .mat_mul_bf16 = MatMul<DotBf16>,
                                    .mat_mul_bf16_f32 = MatMul<DotF32<Bf16>>,
                                    .mat_mul_f32 = MatMul<DotF32<float>>,
                                    .weighted_sum_bf16 = WeightedSum<Bf16>,
                                    .weighted_sum_f32 = WeightedSum<float>};

}  // namespace llama
#endif  // __x86_64__
