#include "services/model/limits/machine_limits.h"

#include <vector>

#include "gtest/gtest.h"

namespace llama {
namespace {

TEST(MachineLimitsTest, EveryInstructionSetReadsAndMultiplies) {
  ThreadTeam team(2);
  const std::vector<std::byte> memory(size_t{8} << 20, std::byte{0x3C});
  for (const Kernels* const kernels : SupportedKernels()) {
    // Any machine of this century reads more than 1 MB/s, and none 100 TB/s.
    const double read = MeasureReadSpeed(*kernels, team, memory, 1);
    EXPECT_GT(read, 1e6) << kernels->name;
    EXPECT_LT(read, 1e14) << kernels->name;
    for (const DataType activations : {DataType::kBf16, DataType::kF32}) {
      const double flops = MeasureFlops(*kernels, team, activations);
      EXPECT_GT(flops, 1e6) << kernels->name;
      EXPECT_LT(flops, 1e14) << kernels->name;
    }
  }
}

TEST(MachineLimitsTest, ReadsAllOfEveryRow) {
  constexpr size_t kRows = 8;
  constexpr size_t kCols = 96;
  for (const Kernels* const kernels : SupportedKernels()) {
    for (size_t at = 0; at < kRows * kCols; ++at) {
      std::vector<Bf16> values(kRows * kCols);
      values[at] = ToBf16(2);
      EXPECT_EQ(kernels->read_rows_bf16(values.data(), kRows, kCols), 2) << kernels->name << at;
    }
  }
}

TEST(MachineLimitsTest, CountsTheMultiplyAddsOfEachRound) {
  for (const Kernels* const kernels : SupportedKernels()) {
    for (const auto multiply_adds : {kernels->multiply_adds_bf16, kernels->multiply_adds_f32}) {
      EXPECT_EQ(multiply_adds(0), 0U);
      EXPECT_GE(multiply_adds(1), 4U);
      EXPECT_EQ(multiply_adds(7), 7 * multiply_adds(1));
    }
  }
}

}  // namespace
}  // namespace llama
