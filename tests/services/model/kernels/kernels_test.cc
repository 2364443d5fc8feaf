#include "services/model/kernels/kernels.h"

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

class KernelsTest : public testing::TestWithParam<const Kernels*> {};

TEST_P(KernelsTest, ProductsAreTheScalarOnesWithinRounding) {
  const Kernels& scalar = *SupportedKernels().front();
  for (const size_t cols : {1, 2, 7, 8, 15, 16, 31, 32, 33, 64, 100, 255, 1000}) {
    constexpr size_t kRows = 7;
    constexpr size_t kN = 5;
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
    scalar.mat_mul_bf16(w16.data(), kRows, cols, x16.data(), kN, expected.data(), kRows);
    GetParam()->mat_mul_bf16(w16.data(), kRows, cols, x16.data(), kN, found.data(), kRows);
    compare("bf16");
    scalar.mat_mul_bf16_f32(w16.data(), kRows, cols, x.data(), kN, expected.data(), kRows);
    GetParam()->mat_mul_bf16_f32(w16.data(), kRows, cols, x.data(), kN, found.data(), kRows);
    compare("bf16 by f32");
    scalar.mat_mul_f32(w.data(), kRows, cols, x.data(), kN, expected.data(), kRows);
    GetParam()->mat_mul_f32(w.data(), kRows, cols, x.data(), kN, found.data(), kRows);
    compare("f32");
  }
}

TEST_P(KernelsTest, AnOutputIsTheSameInEveryTile) {
  constexpr size_t kRows = 13;
  constexpr size_t kMost = 512;
  for (const size_t cols : {5, 64, 172, 345}) {
    const auto w = Rounded(RandomFloats(kRows * cols, 3));
    const auto x = Rounded(RandomFloats(kMost * cols, 4));
    std::vector<float> all(kMost * kRows);
    GetParam()->mat_mul_bf16(w.data(), kRows, cols, x.data(), kMost, all.data(), kRows);
    for (const size_t n : {1, 2, 3, 7, 16, 64}) {
      for (const size_t rows : {size_t{1}, size_t{4}, kRows}) {
        std::vector<float> part(n * rows);
        GetParam()->mat_mul_bf16(w.data() + (kRows - rows) * cols, rows, cols, x.data() + 7 * cols,
                                 n, part.data(), rows);
        for (size_t c = 0; c < n; ++c) {
          for (size_t r = 0; r < rows; ++r) {
            ASSERT_EQ(part[c * rows + r], all[(c + 7) * kRows + kRows - rows + r])
                << n << " columns, " << rows << " rows of " << cols;
          }
        }
      }
    }
  }
}

TEST_P(KernelsTest, WeightedSumsAreTheScalarOnesWithinRoundingHoweverManyQueries) {
  const Kernels& scalar = *SupportedKernels().front();
  for (const size_t dim : {2, 6, 8, 10, 16, 36, 64, 128}) {
    constexpr size_t kCount = 16;
    constexpr size_t kQueries = 3;
    const auto values = RandomFloats(kCount * dim, 5);
    const auto values16 = Rounded(values);
    const auto weights = RandomFloats(kQueries * 20, 6);
    std::vector<float> expected(kQueries * dim, 0.5F), found = expected;
    scalar.weighted_sum_bf16(values16.data(), kCount, dim, weights.data(), 20, kQueries,
                             expected.data());
    GetParam()->weighted_sum_bf16(values16.data(), kCount, dim, weights.data(), 20, kQueries,
                                  found.data());
    for (size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], expected[i], 1e-5);
    std::vector<float> alone(dim, 0.5F);
    GetParam()->weighted_sum_bf16(values16.data(), kCount, dim, weights.data() + 20, 20, 1,
                                  alone.data());
    for (size_t d = 0; d < dim; ++d) EXPECT_EQ(alone[d], found[dim + d]);
  }
}

INSTANTIATE_TEST_SUITE_P(InstructionSets, KernelsTest,
                         testing::ValuesIn(SupportedKernels().begin(), SupportedKernels().end()),
                         [](const auto& test) { return test.param->name; });

}  // namespace
}  // namespace llama
