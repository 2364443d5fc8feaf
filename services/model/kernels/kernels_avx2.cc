#if defined(__x86_64__)
#include <immintrin.h>

#include <cstring>

#include "services/model/kernels/kernels_isa.h"

#define LLAMA_TARGET [[gnu::target("avx2,fma")]]

namespace llama {
namespace {

using Vector = __m256;
constexpr size_t kLanes = 8;
constexpr size_t kTileRows = 4;
constexpr size_t kTileCols = 2;

LLAMA_TARGET inline Vector Zero() { return _mm256_setzero_ps(); }
LLAMA_TARGET inline Vector Fma(Vector a, Vector b, Vector sum) {
  return _mm256_fmadd_ps(a, b, sum);
}
LLAMA_TARGET inline Vector Broadcast(float value) { return _mm256_set1_ps(value); }
LLAMA_TARGET inline Vector Load(const float* p) { return _mm256_loadu_ps(p); }
LLAMA_TARGET inline Vector Load(const Bf16* p) {
  const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
}
// The first n < kLanes values, then zeros.
template <typename T>
LLAMA_TARGET inline Vector LoadFirst(const T* p, size_t n) {
  T padded[kLanes] = {};
  std::memcpy(padded, p, n * sizeof(T));
  return Load(padded);
}
LLAMA_TARGET inline void Store(float* p, Vector v) { _mm256_storeu_ps(p, v); }
LLAMA_TARGET inline void StoreFirst(float* p, size_t n, Vector v) {
  float lanes[kLanes];
  Store(lanes, v);
  std::memcpy(p, lanes, n * sizeof(float));
}
LLAMA_TARGET inline float Sum(Vector v) {
  __m128 sum = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
  return _mm_cvtss_f32(_mm_add_ss(sum, _mm_movehdup_ps(sum)));
}

template <typename Weight, typename Activation>
struct Dot {
  using W = Weight;
  using X = Activation;
  using WVector = Vector;
  static constexpr size_t kStep = kLanes;
  LLAMA_TARGET static Vector LoadW(const W* p) { return Load(p); }
  LLAMA_TARGET static Vector LoadX(const X* p) { return Load(p); }
  LLAMA_TARGET static Vector LoadWFirst(const W* p, size_t n) { return LoadFirst(p, n); }
  LLAMA_TARGET static Vector LoadXFirst(const X* p, size_t n) { return LoadFirst(p, n); }
  LLAMA_TARGET static Vector Step(Vector w, Vector x, Vector sum) { return Fma(w, x, sum); }
};

#include "services/model/kernels/tiles.h"

}  // namespace

const Kernels kAvx2Kernels = {.name = "avx2",
                              .mat_mul_bf16 = MatMul<Dot<Bf16, Bf16>>,
                              .mat_mul_bf16_f32 = MatMul<Dot<Bf16, float>>,
                              .mat_mul_f32 = MatMul<Dot<float, float>>,
                              .weighted_sum_bf16 = WeightedSum<Bf16>,
                              .weighted_sum_f32 = WeightedSum<float>};

}  // namespace llama
#endif  // __x86_64__
