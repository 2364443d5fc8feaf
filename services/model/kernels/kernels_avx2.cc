#if defined(__x86_64__)
#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <type_traits>
#include <utility>

#include "services/model/kernels/kernels_isa.h"

#define LLAMA_TARGET [[gnu::target("avx2,fma")]]

namespace llama {
namespace {

using Vector = __m256;
constexpr size_t kLanes = 8;
constexpr size_t kBlockBytes = 3072;
constexpr size_t kStreamCols = 3;
constexpr size_t kStreamBytes = size_t{64} << 10;
constexpr size_t kFewCols = 11;
constexpr Tiling kFewTiles = {.rows = 2, .cols = 4, .panel_rows = 12, .widens = false};
constexpr Tiling kManyTiles = {.rows = 6, .cols = 2, .panel_rows = 6, .widens = true};
constexpr size_t kSumQueries = 4;
constexpr size_t kSumVectors = 2;
constexpr size_t kScoreQueries = 4;

LLAMA_TARGET inline Vector Zero() { return _mm256_setzero_ps(); }
LLAMA_TARGET inline Vector Fma(Vector a, Vector b, Vector sum) {
  return _mm256_fmadd_ps(a, b, sum);
}
LLAMA_TARGET inline Vector Add(Vector a, Vector b) { return _mm256_add_ps(a, b); }
LLAMA_TARGET inline Vector Sub(Vector a, Vector b) { return _mm256_sub_ps(a, b); }
LLAMA_TARGET inline Vector Mul(Vector a, Vector b) { return _mm256_mul_ps(a, b); }
LLAMA_TARGET inline Vector Div(Vector a, Vector b) { return _mm256_div_ps(a, b); }
LLAMA_TARGET inline Vector Min(Vector a, Vector b) { return _mm256_min_ps(a, b); }
LLAMA_TARGET inline Vector Max(Vector a, Vector b) { return _mm256_max_ps(a, b); }
LLAMA_TARGET inline Vector Broadcast(float value) { return _mm256_set1_ps(value); }
LLAMA_TARGET inline Vector RoundToInt(Vector v) {
  return _mm256_round_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
LLAMA_TARGET inline Vector Scale2(Vector v, Vector n) {
  const __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
  return Mul(v, _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23)));
}
LLAMA_TARGET inline Vector ZeroBelow(float limit, Vector x, Vector v) {
  return _mm256_and_ps(_mm256_cmp_ps(x, Broadcast(limit), _CMP_NLT_UQ), v);
}
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
// Rounds to the nearest, ties to even. A NaN stays one.
LLAMA_TARGET inline void Store(Bf16* p, Vector v) {
  const __m256i bits = _mm256_castps_si256(v);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i rounded = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7FFF)), odd);
  const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
  const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
  const __m256i upper = _mm256_srli_epi32(_mm256_blendv_epi8(rounded, quiet, nan), 16);
  const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(upper, upper), 0x08);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_castsi256_si128(packed));
}
template <typename T>
LLAMA_TARGET inline void StoreFirst(T* p, size_t n, Vector v) {
  T lanes[kLanes];
  Store(lanes, v);
  std::memcpy(p, lanes, n * sizeof(T));
}

// The pairs of each half of a vector are added to one another, then the two that are left, then the
// halves.
LLAMA_TARGET inline Vector AddPairs(Vector a, Vector b) {
  return Add(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
}
// Inlined always: a call would first write all the sums of a tile to memory.
template <size_t R>
[[gnu::always_inline]] LLAMA_TARGET inline void StoreSums(const Vector* sums, float* y, bool add) {
  if constexpr (R > 4) {
    StoreSums<4>(sums, y, add);
    return StoreSums<R - 4>(sums + 4, y + 4, add);
  }
  const Vector ab = AddPairs(sums[0], sums[R > 1 ? 1 : 0]);
  const Vector cd = R > 2 ? AddPairs(sums[R > 2 ? 2 : 0], sums[R > 3 ? 3 : 0]) : ab;
  const Vector halves = Add(_mm256_shuffle_ps(ab, cd, 0x44), _mm256_shuffle_ps(ab, cd, 0xEE));
  const __m128 all = _mm_add_ps(_mm256_castps256_ps128(halves), _mm256_extractf128_ps(halves, 1));
  if constexpr (R == 4) {
    _mm_storeu_ps(y, add ? _mm_add_ps(all, _mm_loadu_ps(y)) : all);
    return;
  }
  float result[4];
  _mm_storeu_ps(result, all);
  for (size_t r = 0; r < R; ++r) y[r] = add ? result[r] + y[r] : result[r];
}
LLAMA_TARGET inline float Sum(Vector v) {
  float sum;
  StoreSums<1>(&v, &sum, false);
  return sum;
}
LLAMA_TARGET inline float Most(Vector v) {
  float lanes[kLanes];
  Store(lanes, v);
  return *std::max_element(lanes, lanes + kLanes);
}

// Pairs of bf16, as vectors of the first and of the second elements.
LLAMA_TARGET inline Vector FirstOfPairs(__m256i pairs) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16));
}
LLAMA_TARGET inline Vector SecondOfPairs(__m256i pairs) {
  return _mm256_castsi256_ps(_mm256_and_si256(pairs, _mm256_set1_epi32(-65536)));
}

// Two loads a cycle are the limit: the compiler must not load a column again for each row.
LLAMA_TARGET inline Vector LoadOnce(const float* p) {
  Vector v = Load(p);
  asm("" : "+x"(v));
  return v;
}
// Fma(), with the result where the sum was: g++ 12 also writes it over a factor, and then copies
// sums from register to register.
LLAMA_TARGET inline Vector AddProduct(Vector w, Vector x, Vector sum) {
  asm("vfmadd231ps %2, %1, %0" : "+x"(sum) : "x"(w), "x"(x));
  return sum;
}

// Elements that were unpacked in the order in which Dot takes them, from rows of type W.
template <typename Weight>
struct DotUnpacked {
  using Source = Weight;
  using W = float;
  using Packed = float;
  using WVector = Vector;
  using XVector = Vector;
  static constexpr size_t kStep = 64 / sizeof(Source);
  static constexpr size_t kParts = kStep / kLanes;
  LLAMA_TARGET static Vector LoadW(const float* p, size_t part) { return Load(p + part * kLanes); }
  // There is never a rest: steps are whole.
  LLAMA_TARGET static Vector LoadWFirst(const float* p, size_t /*n*/, size_t part) {
    return LoadW(p, part);
  }
  LLAMA_TARGET static Vector LoadX(const float* p) { return LoadOnce(p); }
  LLAMA_TARGET static Vector Step(Vector w, Vector x, Vector sum) { return AddProduct(w, x, sum); }
};

// A line of weights at a time. Two vectors of bf16 are the first elements of 8 pairs, and the
// second ones: one instruction each. Columns are packed likewise, as float32, once for all rows.
template <typename Weight, typename Activation>
struct Dot {
  using Source = Weight;
  using W = Weight;
  using X = Activation;
  using Wide = std::conditional_t<std::is_same_v<W, Bf16>, DotUnpacked<W>, Dot>;
  using Packed = float;
  using WVector = Vector;
  using XVector = Vector;
  static constexpr size_t kStep = 64 / sizeof(W);
  static constexpr size_t kParts = kStep / kLanes;
  LLAMA_TARGET static Vector LoadW(const Bf16* p, size_t part) {
    const __m256i pairs =
        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + part / 2 * 2 * kLanes));
    return part % 2 == 0 ? FirstOfPairs(pairs) : SecondOfPairs(pairs);
  }
  LLAMA_TARGET static Vector LoadW(const float* p, size_t part) { return Load(p + part * kLanes); }
  LLAMA_TARGET static Vector LoadWFirst(const W* p, size_t n, size_t part) {
    W padded[kStep] = {};
    std::memcpy(padded, p, n * sizeof(W));
    return LoadW(padded, part);
  }
  LLAMA_TARGET static void PackStep(const X* x, float* packed) {
    if constexpr (sizeof(W) == sizeof(X)) {
      for (size_t part = 0; part < kParts; ++part) Store(packed + part * kLanes, LoadW(x, part));
    } else {
      for (size_t i = 0; i < kStep; i += 2 * kLanes) {
        const Vector a = Load(x + i);
        const Vector b = Load(x + i + kLanes);
        Store(packed + i, InOrder(_mm256_shuffle_ps(a, b, 0x88)));
        Store(packed + i + kLanes, InOrder(_mm256_shuffle_ps(a, b, 0xDD)));
      }
    }
  }
  LLAMA_TARGET static void WidenStep(const W* w, float* wide) {
    for (size_t part = 0; part < kParts; ++part) Store(wide + part * kLanes, LoadW(w, part));
  }
  LLAMA_TARGET static Vector LoadX(const float* p) { return LoadOnce(p); }
  LLAMA_TARGET static Vector Step(Vector w, Vector x, Vector sum) { return AddProduct(w, x, sum); }

 private:
  // Quarters 0, 2, 1 and 3, as shuffles within halves leave them.
  LLAMA_TARGET static Vector InOrder(Vector v) {
    return _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(v), 0xD8));
  }
};

struct KeysBf16 {
  using T = Bf16;
  static constexpr size_t kPer = 2;
  static constexpr size_t kVectors = 2;
  struct Keys {
    __m256i pairs[kVectors];
  };
  LLAMA_TARGET static Keys LoadKeys(const Bf16* p) {
    const auto* const at = reinterpret_cast<const __m256i*>(p);
    return {{_mm256_loadu_si256(at), _mm256_loadu_si256(at + 1)}};
  }
  LLAMA_TARGET static __m256i LoadQuery(const Bf16* p) {
    int32_t pair;
    std::memcpy(&pair, p, sizeof pair);
    return _mm256_set1_epi32(pair);
  }
  LLAMA_TARGET static Vector Step(const Keys& keys, size_t i, __m256i query, Vector sum) {
    sum = Fma(FirstOfPairs(keys.pairs[i]), FirstOfPairs(query), sum);
    return Fma(SecondOfPairs(keys.pairs[i]), SecondOfPairs(query), sum);
  }
};

struct KeysF32 {
  using T = float;
  static constexpr size_t kPer = 1;
  static constexpr size_t kVectors = 2;
  struct Keys {
    Vector tokens[kVectors];
  };
  LLAMA_TARGET static Keys LoadKeys(const float* p) { return {{Load(p), Load(p + kLanes)}}; }
  LLAMA_TARGET static Vector LoadQuery(const float* p) { return Broadcast(*p); }
  LLAMA_TARGET static Vector Step(const Keys& keys, size_t i, Vector query, Vector sum) {
    return Fma(keys.tokens[i], query, sum);
  }
};

#include "services/model/kernels/elementwise.h"
#include "services/model/kernels/limits.h"
#include "services/model/kernels/scores.h"
#include "services/model/kernels/tiles.h"
#include "services/model/kernels/weighted_sum.h"

}  // namespace

const Kernels kAvx2Kernels = {.name = "avx2",
                              .pack_bf16 = nullptr,
                              .mat_mul_bf16 = MatMul<Dot<Bf16, Bf16>>,
                              .mat_mul_bf16_f32 = MatMul<Dot<Bf16, float>>,
                              .mat_mul_f32 = MatMul<Dot<float, float>>,
                              .scores_bf16 = Scores<KeysBf16>,
                              .scores_f32 = Scores<KeysF32>,
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
                              .multiply_adds_bf16 = MultiplyAdds<Dot<Bf16, Bf16>, 12>,
                              .multiply_adds_f32 = MultiplyAdds<Dot<float, float>, 12>,
                              .read_rows_bf16 = ReadRows<Dot<Bf16, Bf16>>};

}  // namespace llama
#endif  // __x86_64__
