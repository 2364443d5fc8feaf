#include "services/model/kernels/kernels.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace llama {
namespace {

std::vector<float> RandomFloats(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

std::vector<Bf16> Rounded(const std::vector<float>& values) {
  std::vector<Bf16> rounded;
  for (const float value : values) rounded.push_back(ToBf16(value));
  return rounded;
}

// mat_mul_bf16 with columns as they lie, [n, cols].
void MatMulBf16(const Kernels& kernels, const Bf16* w, size_t rows, size_t cols, const Bf16* x,
                size_t n, float* y, size_t y_stride) {
  if (kernels.pack_bf16 == nullptr) {
    return kernels.mat_mul_bf16(w, rows, cols, x, n, y, y_stride);
  }
  // What is not packed shows as not a number.
  std::vector<Bf16> packed(PackedLength(n, cols), ToBf16(std::nanf("")));
  for (size_t begin = 0; begin < n; begin += kPackColumns) {
    kernels.pack_bf16(x, cols, n, begin, std::min(n, begin + kPackColumns), packed.data());
  }
  kernels.mat_mul_bf16(w, rows, cols, packed.data(), n, y, y_stride);
}

class KernelsTest : public testing::TestWithParam<const Kernels*> {};

TEST_P(KernelsTest, ProductsAreTheScalarOnesWithinRounding) {
  const Kernels& scalar = *SupportedKernels().front();
  for (const size_t cols : {1, 2, 7, 8, 15, 16, 31, 32, 33, 64, 100, 255, 1000, 2049, 5000}) {
    constexpr size_t kRows = 15;
    constexpr size_t kN = 9;
    const auto w = RandomFloats(kRows * cols, 1);
    const auto x = RandomFloats(kN * cols, 2);
    const auto w16 = Rounded(w);
    const auto x16 = Rounded(x);
    std::vector<float> expected(kN * kRows), found(kN * kRows);
    // Sums of n products of values around 1, in another order: n * eps * the sum of magnitudes.
    const float tolerance = 3e-7F * static_cast<float>(cols) * 4;
    const auto compare = [&](const char* what) {
      for (size_t i = 0; i < found.size(); ++i) {
        EXPECT_NEAR(found[i], expected[i], tolerance) << what << " of " << cols;
      }
    };
    MatMulBf16(scalar, w16.data(), kRows, cols, x16.data(), kN, expected.data(), kRows);
    MatMulBf16(*GetParam(), w16.data(), kRows, cols, x16.data(), kN, found.data(), kRows);
    compare("bf16");
    scalar.mat_mul_bf16_f32(w16.data(), kRows, cols, x.data(), kN, expected.data(), kRows);
    GetParam()->mat_mul_bf16_f32(w16.data(), kRows, cols, x.data(), kN, found.data(), kRows);
    compare("bf16 by f32");
    scalar.mat_mul_f32(w.data(), kRows, cols, x.data(), kN, expected.data(), kRows);
    GetParam()->mat_mul_f32(w.data(), kRows, cols, x.data(), kN, found.data(), kRows);
    compare("f32");
  }
}

// All outputs of a product must be the same to the bit in every part of it that is computed alone.
template <typename MatMul, typename W, typename X>
void ExpectPartsOfTheWhole(const MatMul& mat_mul, const std::vector<W>& w, const std::vector<X>& x,
                           size_t cols) {
  constexpr size_t kFirst = 7;  // Column of the parts.
  const size_t rows = w.size() / cols;
  const size_t most = x.size() / cols;
  std::vector<float> all(most * rows);
  mat_mul(w.data(), rows, cols, x.data(), most, all.data(), rows);
  for (const size_t n : {1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 16, 17, 33, 64, 130}) {
    if (kFirst + n > most) break;
    // Of eleven rows the streams, of one each, leave seven.
    for (const size_t part : std::vector<size_t>{1, 2, 3, 4, 5, 11, rows}) {
      const size_t stride = part + 3;
      std::vector<float> found(n * stride, -1);
      mat_mul(w.data() + (rows - part) * cols, part, cols, x.data() + kFirst * cols, n,
              found.data(), stride);
      for (size_t c = 0; c < n; ++c) {
        for (size_t r = 0; r < stride; ++r) {
          const float expected = r < part ? all[(kFirst + c) * rows + rows - part + r] : -1;
          ASSERT_EQ(found[c * stride + r], expected)
              << n << " columns, " << part << " rows of " << cols;
        }
      }
    }
  }
}

TEST_P(KernelsTest, AnOutputIsTheSameInEveryTile) {
  constexpr size_t kRows = 20;
  // Rows of one block, of a part of a vector, of several blocks, and so long that not even four
  // columns are packed whole, nor many taken together. The scalar kernels are slow.
  const bool vectors = GetParam() != SupportedKernels().front();
  for (const size_t cols : {5, 64, 172, 345, vectors ? 5632 : 100, vectors ? 33'000 : 101}) {
    const size_t most = cols > 10'000 ? 24 : 512;
    const auto w = RandomFloats(kRows * cols, 3);
    const auto x = RandomFloats(most * cols, 4);
    const auto mat_mul_bf16 = [](const auto&... arguments) {
      MatMulBf16(*GetParam(), arguments...);
    };
    ExpectPartsOfTheWhole(mat_mul_bf16, Rounded(w), Rounded(x), cols);
    ExpectPartsOfTheWhole(GetParam()->mat_mul_bf16_f32, Rounded(w), x, cols);
    ExpectPartsOfTheWhole(GetParam()->mat_mul_f32, w, x, cols);
  }
}

// The sum as the specification of tdpbf16ps has it: for every 32 elements, those at even and at odd
// places apart, in order, each product added without rounding it first; then both, then the sum so
// far.
float AmxSum(const Bf16* w, const Bf16* x, size_t cols) {
  float sum = 0;
  for (size_t begin = 0; begin < cols; begin += 32) {
    float parts[2] = {0, 0};
    for (size_t k = begin; k < std::min(cols, begin + 32); ++k) {
      parts[k % 2] = std::fma(ToFloat(w[k]), ToFloat(x[k]), parts[k % 2]);
    }
    sum += parts[0] + parts[1];
  }
  return sum;
}

TEST(AmxTest, SumsAreThoseOfTheSpecificationToTheBit) {
  const Kernels* const amx = FindKernels("amx_bf16");
  if (amx == nullptr) GTEST_SKIP() << "the processor has no AMX";
  for (const size_t cols : {1, 31, 32, 64, 172, 2048, 2080, 5632}) {
    // So many that they are not taken together; the sums of all lengths would take long.
    const size_t most = cols <= 64 || cols == 2080 ? 290 : 40;
    for (const size_t n : {size_t{1}, size_t{5}, size_t{16}, size_t{17}, most}) {
      constexpr size_t kRows = 53;
      const auto w = Rounded(RandomFloats(kRows * cols, 12));
      const auto x = Rounded(RandomFloats(n * cols, 13));
      std::vector<float> y(n * kRows);
      MatMulBf16(*amx, w.data(), kRows, cols, x.data(), n, y.data(), kRows);
      for (size_t c = 0; c < n; ++c) {
        for (size_t r = 0; r < kRows; ++r) {
          ASSERT_EQ(y[c * kRows + r], AmxSum(&w[r * cols], &x[c * cols], cols))
              << "row " << r << ", column " << c << " of " << n << ", of " << cols;
        }
      }
    }
  }
}

// Blocks of kKeyTokens tokens, of `dim` elements each, in reverse order of memory.
template <typename T>
std::vector<const T*> BlocksOf(const std::vector<T>& elements, size_t dim) {
  std::vector<const T*> blocks;
  for (size_t at = elements.size(); at > 0; at -= kKeyTokens * dim) {
    blocks.push_back(elements.data() + at - kKeyTokens * dim);
  }
  return blocks;
}

// Scores of all queries at once must be the scalar ones within rounding, and to the bit those of
// fewer queries and blocks.
template <typename T>
void ExpectScalarScores(void (*scalar)(const T* const*, size_t, size_t, const T*, size_t, float*,
                                       size_t),
                        void (*scores)(const T* const*, size_t, size_t, const T*, size_t, float*,
                                       size_t),
                        const std::vector<T>& keys, const std::vector<T>& queries, size_t dim) {
  const std::vector<const T*> blocks = BlocksOf(keys, dim);
  const size_t all = queries.size() / dim;
  const size_t stride = blocks.size() * kKeyTokens + 5;
  std::vector<float> expected(all * stride), found = expected;
  scalar(blocks.data(), blocks.size(), dim, queries.data(), all, expected.data(), stride);
  scores(blocks.data(), blocks.size(), dim, queries.data(), all, found.data(), stride);
  for (size_t i = 0; i < found.size(); ++i) ASSERT_NEAR(found[i], expected[i], 1e-4) << dim;
  for (const size_t n : {1, 2, 3, 7, 8, 16, 17}) {
    std::vector<float> part(n * stride);
    scores(blocks.data() + 1, 1, dim, queries.data() + 5 * dim, n, part.data(), stride);
    for (size_t q = 0; q < n; ++q) {
      for (size_t t = 0; t < kKeyTokens; ++t) {
        ASSERT_EQ(part[q * stride + t], found[(5 + q) * stride + kKeyTokens + t]) << dim;
      }
    }
  }
}

TEST_P(KernelsTest, ScoresAreTheScalarOnesWithinRoundingHoweverManyQueries) {
  const Kernels& scalar = *SupportedKernels().front();
  for (const size_t dim : {2, 6, 8, 32, 36, 64, 100, 128}) {
    const auto keys = RandomFloats(3 * kKeyTokens * dim, 5);
    const auto queries = RandomFloats(45 * dim, 6);
    ExpectScalarScores(scalar.scores_f32, GetParam()->scores_f32, keys, queries, dim);
    ExpectScalarScores(scalar.scores_bf16, GetParam()->scores_bf16, Rounded(keys), Rounded(queries),
                       dim);
  }
}

TEST_P(KernelsTest, ScoresAreThoseOfTheTransposedKeys) {
  // Key 3 is 1 at element 4, and the query 2 there.
  std::vector<float> keys(8 * kKeyTokens), query(8), scores(kKeyTokens);
  query[4] = 2;
  keys[4 * kKeyTokens + 3] = 1;
  const float* const block = keys.data();
  GetParam()->scores_f32(&block, 1, 8, query.data(), 1, scores.data(), kKeyTokens);
  for (size_t t = 0; t < kKeyTokens; ++t) EXPECT_EQ(scores[t], t == 3 ? 2 : 0);
  std::vector<Bf16> keys16(keys.size());
  keys16[4 * kKeyTokens + size_t{2} * 3] = ToBf16(1);
  const Bf16* const block16 = keys16.data();
  GetParam()->scores_bf16(&block16, 1, 8, Rounded(query).data(), 1, scores.data(), kKeyTokens);
  for (size_t t = 0; t < kKeyTokens; ++t) EXPECT_EQ(scores[t], t == 3 ? 2 : 0);
}

// Sums of all queries at once must be the scalar ones within rounding, and to the bit those of each
// query alone, also where more tokens follow, of weight zero. What lies behind the last token must
// not matter.
template <typename T>
void ExpectScalarSums(
    void (*scalar)(const T* const*, size_t, size_t, const T*, size_t, size_t, float*),
    void (*sum)(const T* const*, size_t, size_t, const T*, size_t, size_t, float*),
    std::vector<T> values, size_t count, size_t dim, std::vector<T> weights, T not_a_number) {
  const std::vector<const T*> blocks = BlocksOf(values, dim);
  const size_t stride = blocks.size() * kKeyTokens;
  const size_t queries = weights.size() / stride;
  for (size_t q = 0; q < queries; ++q) {
    std::fill(weights.begin() + static_cast<ptrdiff_t>(q * stride + count),
              weights.begin() + static_cast<ptrdiff_t>((q + 1) * stride), T{});
  }
  std::vector<float> longer(queries * dim);
  sum(blocks.data(), stride, dim, weights.data(), stride, queries, longer.data());
  for (size_t t = count; t < stride; ++t) {
    const size_t block = static_cast<size_t>(blocks[t / kKeyTokens] - values.data());
    std::fill_n(values.begin() + static_cast<ptrdiff_t>(block + t % kKeyTokens * dim), dim,
                not_a_number);
  }
  std::vector<float> expected(queries * dim, 7), found = expected;
  scalar(blocks.data(), count, dim, weights.data(), stride, queries, expected.data());
  sum(blocks.data(), count, dim, weights.data(), stride, queries, found.data());
  // Sums of products of values around 1, in another order.
  const float tolerance = 3e-7F * static_cast<float>(count) * 4;
  for (size_t i = 0; i < found.size(); ++i) {
    ASSERT_NEAR(found[i], expected[i], tolerance) << count << " of " << dim;
    ASSERT_EQ(found[i], longer[i]) << count << " of " << dim;
  }
  for (size_t q = 0; q < queries; ++q) {
    std::vector<float> alone(dim, 7);
    sum(blocks.data(), count, dim, weights.data() + q * stride, stride, 1, alone.data());
    for (size_t d = 0; d < dim; ++d) ASSERT_EQ(alone[d], found[q * dim + d]) << dim;
  }
}

TEST_P(KernelsTest, WeightedSumsAreTheScalarOnesWithinRoundingHoweverManyQueries) {
  const Kernels& scalar = *SupportedKernels().front();
  for (const size_t dim : {2, 6, 8, 10, 16, 36, 64, 100, 128}) {
    for (const size_t count : {1, 15, 16, 17, 32, 33, 250, 272}) {
      const size_t tokens = (count + 2 * kSumTokens - 1) / kSumTokens * kSumTokens;
      const auto values = RandomFloats(tokens * dim, 5);
      const auto weights = RandomFloats(37 * tokens, 6);
      ExpectScalarSums(scalar.weighted_sum_f32, GetParam()->weighted_sum_f32, values, count, dim,
                       weights, std::nanf(""));
      ExpectScalarSums(scalar.weighted_sum_bf16, GetParam()->weighted_sum_bf16, Rounded(values),
                       count, dim, Rounded(weights), ToBf16(std::nanf("")));
    }
  }
}

TEST_P(KernelsTest, SoftmaxIsThatOfFloat64) {
  for (const size_t count : {1, 2, 7, 15, 16, 17, 100, 4097}) {
    auto scores = RandomFloats(count, 7);
    if (count > 2) scores[1] = -1e30F;  // Weighs nothing, rather than little.
    const double most = *std::max_element(scores.begin(), scores.end());
    std::vector<Bf16> rounded(count);
    // With blocks to prefetch, too few for the most scores; or with none.
    constexpr size_t kDim = 10;
    const std::vector<Bf16> values(kKeyTokens * kDim);
    const std::vector<const Bf16*> blocks(3, values.data());
    NextBlocks<Bf16> next(blocks.data(), blocks.size(), kDim);
    NextBlocks<float> none;
    const float rounded_sum =
        GetParam()->softmax_bf16(scores.data(), count, 3, rounded.data(), next);
    std::vector<float> found = scores;
    const float sum = GetParam()->softmax_f32(found.data(), count, 3, found.data(), none);
    EXPECT_EQ(rounded_sum, sum);
    double total = 0;
    for (size_t i = 0; i < count; ++i) {
      const double expected = std::exp((scores[i] - most) * 3);
      // The product with the scale is off by half a unit, times up to 20.
      EXPECT_NEAR(found[i], expected, expected * 3e-6) << scores[i];
      EXPECT_EQ(rounded[i].bits, ToBf16(found[i]).bits);
      total += expected;
    }
    EXPECT_NEAR(sum, total, total * 3e-6);
    if (count > 2) {
      EXPECT_EQ(found[1], 0);
    }
  }
}

TEST_P(KernelsTest, SoftmaxOfNotANumberHasNoDenominator) {
  std::vector<float> scores(40, 1), weights(40);
  for (const size_t at : {3, 39}) {
    scores.assign(40, 1);
    scores[at] = std::nanf("");
    NextBlocks<float> none;
    EXPECT_TRUE(
        std::isnan(GetParam()->softmax_f32(scores.data(), scores.size(), 1, weights.data(), none)));
  }
}

TEST_P(KernelsTest, SiluIsThatOfFloat64) {
  auto gate = RandomFloats(1000, 8);
  for (size_t i = 0; i < gate.size(); ++i) gate[i] *= static_cast<float>(i % 50);
  const auto up = RandomFloats(gate.size(), 9);
  std::vector<float> found(gate.size());
  GetParam()->silu_mul_f32(gate.data(), up.data(), gate.size(), found.data());
  for (size_t i = 0; i < gate.size(); ++i) {
    const double expected = gate[i] / (1 + std::exp(-double{gate[i]})) * up[i];
    EXPECT_NEAR(found[i], expected, std::abs(expected) * 1e-6 + 1e-30) << gate[i];
  }
  // The place does not matter, and bf16 is what float32 rounds to.
  std::vector<Bf16> rounded(7);
  GetParam()->silu_mul_bf16(gate.data() + 100, up.data() + 100, rounded.size(), rounded.data());
  for (size_t i = 0; i < rounded.size(); ++i) {
    EXPECT_EQ(rounded[i].bits, ToBf16(found[100 + i]).bits);
  }
}

TEST_P(KernelsTest, NormIsThatOfFloat64) {
  for (const size_t count : {1, 7, 16, 64, 100, 2048}) {
    const auto x = RandomFloats(count, 10);
    const auto weight = RandomFloats(count, 11);
    const auto weight16 = Rounded(weight);
    double sum = 0;
    for (const float value : x) sum += double{value} * value;
    const double scale = 1 / std::sqrt(sum / static_cast<double>(count) + 1e-5);
    std::vector<float> found(count);
    std::vector<Bf16> rounded(count);
    GetParam()->rms_norm_f32(x.data(), weight.data(), count, 1e-5, found.data());
    for (size_t i = 0; i < count; ++i) {
      EXPECT_NEAR(found[i], x[i] * scale * weight[i], 1e-6 * std::abs(found[i]));
    }
    GetParam()->rms_norm_bf16_f32(x.data(), weight16.data(), count, 1e-5, found.data());
    GetParam()->rms_norm_bf16(x.data(), weight16.data(), count, 1e-5, rounded.data());
    for (size_t i = 0; i < count; ++i) {
      EXPECT_NEAR(found[i], x[i] * scale * ToFloat(weight16[i]), 1e-6 * std::abs(found[i]));
      EXPECT_EQ(rounded[i].bits, ToBf16(found[i]).bits);
    }
  }
}

TEST_P(KernelsTest, RoundsToTheNearestTiesToEven) {
  const std::vector<float> values = {
      0,         -0.0F,     1,     0x1.00fffep0F, 0x1.01p0F, 0x1.03p0F, -0x1.03p0F, 0x1.fffp127F,
      -INFINITY, 0x1p-126F, 1e20F, 3.14159F,      -2.71828F, 65504,     1e-30F,     7,
      8,         9,         10};
  std::vector<Bf16> found(values.size());
  GetParam()->round_bf16(values.data(), values.size(), found.data());
  for (size_t i = 0; i < values.size(); ++i) {
    EXPECT_EQ(found[i].bits, ToBf16(values[i]).bits) << values[i];
  }
  const float nan = std::nanf("");
  GetParam()->round_bf16(&nan, 1, found.data());
  EXPECT_TRUE(std::isnan(ToFloat(found[0])));
}

INSTANTIATE_TEST_SUITE_P(InstructionSets, KernelsTest,
                         testing::ValuesIn(SupportedKernels().begin(), SupportedKernels().end()),
                         [](const auto& test) { return test.param->name; });

}  // namespace
}  // namespace llama
