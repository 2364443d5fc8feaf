#if defined(__x86_64__)
#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <utility>

#include "services/model/kernels/kernels_isa.h"

#define LLAMA_TARGET [[gnu::target("avx512f,avx512bw,avx512vl,avx512bf16")]]

namespace llama {
namespace {

#include "services/model/kernels/avx512_lanes.h"

using Vector = __m512;
constexpr size_t kLanes = 16;
constexpr size_t kBlockBytes = 2048;
constexpr size_t kStreamCols = 4;
constexpr size_t kStreamBytes = 0;
constexpr size_t kFewCols = 8;
constexpr Tiling kFewTiles = {.rows = 3, .cols = 8, .panel_rows = 3, .widens = false};
constexpr Tiling kManyTiles = {.rows = 6, .cols = 4, .panel_rows = 6, .widens = false};
constexpr size_t kSumQueries = 4;
constexpr size_t kSumVectors = 4;
constexpr size_t kScoreQueries = 16;

LLAMA_TARGET inline Vector Zero() { return _mm512_setzero_ps(); }
LLAMA_TARGET inline Vector Fma(Vector a, Vector b, Vector sum) {
  return _mm512_fmadd_ps(a, b, sum);
}
LLAMA_TARGET inline Vector Add(Vector a, Vector b) { return _mm512_add_ps(a, b); }
LLAMA_TARGET inline Vector Sub(Vector a, Vector b) { return _mm512_sub_ps(a, b); }
LLAMA_TARGET inline Vector Mul(Vector a, Vector b) { return _mm512_mul_ps(a, b); }
LLAMA_TARGET inline Vector Div(Vector a, Vector b) { return _mm512_div_ps(a, b); }
LLAMA_TARGET inline Vector Broadcast(float value) { return _mm512_set1_ps(value); }
LLAMA_TARGET inline Vector Min(Vector a, Vector b) { return _mm512_maskz_min_ps(kAll, a, b); }
LLAMA_TARGET inline Vector Max(Vector a, Vector b) { return _mm512_maskz_max_ps(kAll, a, b); }
LLAMA_TARGET inline Vector RoundToInt(Vector v) {
  return _mm512_maskz_roundscale_ps(kAll, v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
LLAMA_TARGET inline Vector Scale2(Vector v, Vector n) { return _mm512_maskz_scalef_ps(kAll, v, n); }
LLAMA_TARGET inline Vector ZeroBelow(float limit, Vector x, Vector v) {
  return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, Broadcast(limit), _CMP_NLT_UQ), v);
}
LLAMA_TARGET inline Vector Widen(__m256i halves) {
  return _mm512_castsi512_ps(
      _mm512_maskz_slli_epi32(kAll, _mm512_maskz_cvtepu16_epi32(kAll, halves), 16));
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
// Rounds to the nearest, ties to even; denormals become zero.
LLAMA_TARGET inline void Store(Bf16* p, Vector v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                      reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(v)));
}
LLAMA_TARGET inline void StoreFirst(Bf16* p, size_t n, Vector v) {
  _mm256_mask_storeu_epi16(p, First(n), reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(v)));
}

// Of two vectors each: the halves of a vector are added to one another, then the quarters, the
// pairs and the two that are left. From AddHalves(a, b) on, a's sums lie before b's.
LLAMA_TARGET inline Vector AddHalves(Vector a, Vector b) {
  return Add(_mm512_maskz_shuffle_f32x4(kAll, a, b, 0x44),
             _mm512_maskz_shuffle_f32x4(kAll, a, b, 0xEE));
}
LLAMA_TARGET inline Vector AddQuarters(Vector a, Vector b) {
  return Add(_mm512_maskz_shuffle_f32x4(kAll, a, b, 0x88),
             _mm512_maskz_shuffle_f32x4(kAll, a, b, 0xDD));
}
// In every quarter two sums of a's before two of b's; then one of each, twice.
LLAMA_TARGET inline Vector AddPairs(Vector a, Vector b) {
  return Add(_mm512_maskz_shuffle_ps(kAll, a, b, 0x44), _mm512_maskz_shuffle_ps(kAll, a, b, 0xEE));
}
LLAMA_TARGET inline Vector AddNeighbours(Vector v) {
  return Add(v, _mm512_maskz_permute_ps(kAll, v, 0xB1));
}
template <size_t R>
LLAMA_TARGET inline Vector FourSums(const Vector* sums, size_t first) {
  const Vector a = sums[first];
  const Vector b = first + 1 < R ? sums[first + 1] : a;
  const Vector c = first + 2 < R ? sums[first + 2] : a;
  const Vector d = first + 3 < R ? sums[first + 3] : a;
  const Vector ab = AddHalves(a, b);
  return AddQuarters(ab, first + 2 < R ? AddHalves(c, d) : ab);
}
// Inlined always: a call would first write all the sums of a tile to memory.
template <size_t R>
[[gnu::always_inline]] LLAMA_TARGET inline void StoreSums(const Vector* sums, float* y, bool add) {
  static_assert(R <= 8);
  const Vector low = FourSums<R>(sums, 0);
  const Vector all = AddNeighbours(AddPairs(low, R > 4 ? FourSums<R>(sums, 4) : low));
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 2, 6, 10, 14, 0, 0, 0, 0, 0, 0, 0, 0);
  Vector result = _mm512_maskz_permutexvar_ps(kAll, order, all);
  if (add) result = Add(result, LoadFirst(y, R));
  StoreFirst(y, R, result);
}
LLAMA_TARGET inline float Sum(Vector v) {
  float sum;
  StoreSums<1>(&v, &sum, false);
  return sum;
}
LLAMA_TARGET inline float Most(Vector v) {
  v = Max(v, _mm512_maskz_shuffle_f32x4(kAll, v, v, 0x4E));
  v = Max(v, _mm512_maskz_shuffle_f32x4(kAll, v, v, 0xB1));
  v = Max(v, _mm512_maskz_permute_ps(kAll, v, 0x4E));
  v = Max(v, _mm512_maskz_permute_ps(kAll, v, 0xB1));
  float most;
  StoreFirst(&most, 1, v);
  return most;
}

// Pairs of bf16 products are added within a lane by vdpbf16ps, which also takes denormals, in and
// out, for zero.
struct DotBf16 {
  using Source = Bf16;
  using Wide = DotBf16;
  using W = Bf16;
  using X = Bf16;
  using Packed = Bf16;
  using WVector = __m512bh;
  using XVector = __m512bh;
  static constexpr size_t kStep = 2 * kLanes;
  static constexpr size_t kParts = 1;
  LLAMA_TARGET static __m512bh LoadW(const Bf16* p, size_t /*part*/) { return LoadX(p); }
  LLAMA_TARGET static void PackStep(const Bf16* x, Bf16* packed) {
    std::memcpy(packed, x, kStep * sizeof *x);
  }
  LLAMA_TARGET static __m512bh LoadX(const Bf16* p) {
    return reinterpret_cast<__m512bh>(_mm512_loadu_si512(p));
  }
  LLAMA_TARGET static __m512bh LoadWFirst(const Bf16* p, size_t n, size_t /*part*/) {
    return reinterpret_cast<__m512bh>(
        _mm512_maskz_loadu_epi16(static_cast<__mmask32>((uint64_t{1} << n) - 1), p));
  }
  LLAMA_TARGET static Vector Step(__m512bh w, __m512bh x, Vector sum) {
    return _mm512_dpbf16_ps(sum, w, x);
  }
};

template <typename Weight>
struct DotF32 {
  using Source = Weight;
  using Wide = DotF32;
  using W = Weight;
  using X = float;
  using Packed = float;
  using WVector = Vector;
  using XVector = Vector;
  static constexpr size_t kStep = kLanes;
  static constexpr size_t kParts = 1;
  LLAMA_TARGET static Vector LoadW(const W* p, size_t /*part*/) { return Load(p); }
  LLAMA_TARGET static Vector LoadWFirst(const W* p, size_t n, size_t /*part*/) {
    return LoadFirst(p, n);
  }
  LLAMA_TARGET static void PackStep(const float* x, float* packed) {
    std::memcpy(packed, x, kStep * sizeof *x);
  }
  LLAMA_TARGET static Vector LoadX(const float* p) { return Load(p); }
  LLAMA_TARGET static Vector Step(Vector w, Vector x, Vector sum) { return Fma(w, x, sum); }
};

struct KeysBf16 {
  using T = Bf16;
  static constexpr size_t kPer = 2;
  static constexpr size_t kVectors = 1;
  LLAMA_TARGET static __m512bh LoadKeys(const Bf16* p) { return DotBf16::LoadX(p); }
  LLAMA_TARGET static __m512bh LoadQuery(const Bf16* p) {
    int32_t pair;
    std::memcpy(&pair, p, sizeof pair);
    return reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair));
  }
  LLAMA_TARGET static Vector Step(__m512bh keys, size_t, __m512bh query, Vector sum) {
    return _mm512_dpbf16_ps(sum, keys, query);
  }
};

struct KeysF32 {
  using T = float;
  static constexpr size_t kPer = 1;
  static constexpr size_t kVectors = 1;
  LLAMA_TARGET static Vector LoadKeys(const float* p) { return Load(p); }
  LLAMA_TARGET static Vector LoadQuery(const float* p) { return Broadcast(*p); }
  LLAMA_TARGET static Vector Step(Vector keys, size_t, Vector query, Vector sum) {
    return Fma(keys, query, sum);
  }
};

#include "services/model/kernels/elementwise.h"
#include "services/model/kernels/limits.h"
#include "services/model/kernels/scores.h"
#include "services/model/kernels/tiles.h"
#include "services/model/kernels/weighted_sum.h"
#include "services/model/kernels/weighted_sum_pairs.h"

}  // namespace

const Kernels kAvx512Bf16Kernels = {.name = "avx512_bf16",
                                    .pack_bf16 = nullptr,
                                    .mat_mul_bf16 = MatMul<DotBf16>,
                                    .mat_mul_bf16_f32 = MatMul<DotF32<Bf16>>,
                                    .mat_mul_f32 = MatMul<DotF32<float>>,
                                    .scores_bf16 = Scores<KeysBf16>,
                                    .scores_f32 = Scores<KeysF32>,
                                    .softmax_bf16 = Softmax<Bf16>,
                                    .softmax_f32 = Softmax<float>,
                                    .weighted_sum_bf16 = WeightedSumPairs,
                                    .weighted_sum_f32 = WeightedSum<float>,
                                    .silu_mul_bf16 = SiluMul<Bf16>,
                                    .silu_mul_f32 = SiluMul<float>,
                                    .rms_norm_bf16 = RmsNorm<Bf16, Bf16>,
                                    .rms_norm_bf16_f32 = RmsNorm<Bf16, float>,
                                    .rms_norm_f32 = RmsNorm<float, float>,
                                    .round_bf16 = Round,
                                    .multiply_adds_bf16 = MultiplyAdds<DotBf16, 24>,
                                    .multiply_adds_f32 = MultiplyAdds<DotF32<float>, 24>,
                                    .read_rows_bf16 = ReadRows<DotBf16>};

}  // namespace llama
#endif  // __x86_64__
