#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "gtest/gtest.h"
#include "services/model/tensor/bf16.h"
#include "services/model/tensor/f16.h"
#include "services/model/tensor/tensor.h"

namespace llama {
namespace {

// The value of a binary number by the definition of IEEE 754.
double ByDefinition(uint32_t bits, int exponent_bits, int fraction_bits) {
  const uint32_t fraction = bits & ((1U << fraction_bits) - 1);
  const auto exponent = static_cast<int>(bits >> fraction_bits & ((1U << exponent_bits) - 1));
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const double sign = (bits >> (exponent_bits + fraction_bits) & 1) != 0 ? -1 : 1;
  if (exponent == (1 << exponent_bits) - 1) {
    return fraction == 0 ? sign * std::numeric_limits<double>::infinity() : std::nan("");
  }
  if (exponent == 0) return sign * std::ldexp(fraction, 1 - bias - fraction_bits);
  return sign * std::ldexp(fraction + (1U << fraction_bits), exponent - bias - fraction_bits);
}

void ExpectSame(double found, double expected, uint32_t bits) {
  if (std::isnan(expected)) {
    ASSERT_TRUE(std::isnan(found)) << bits;
    return;
  }
  ASSERT_EQ(found, expected) << bits;
  ASSERT_EQ(std::signbit(found), std::signbit(expected)) << bits;
}

TEST(ElementTypesTest, EveryF16HasTheValueOfItsDefinition) {
  for (uint32_t bits = 0; bits <= 0xFFFF; ++bits) {
    ExpectSame(F16ToFloat(static_cast<uint16_t>(bits)), ByDefinition(bits, 5, 10), bits);
  }
}

TEST(ElementTypesTest, EveryBf16HasTheValueOfItsDefinitionAndComesBack) {
  for (uint32_t bits = 0; bits <= 0xFFFF; ++bits) {
    const Bf16 value = {static_cast<uint16_t>(bits)};
    ExpectSame(ToFloat(value), ByDefinition(bits, 8, 7), bits);
    if (!std::isnan(ToFloat(value))) {
      ASSERT_EQ(ToBf16(ToFloat(value)).bits, bits);
    }
  }
}

// Between two neighbours of bf16: below, at and above the middle.
TEST(ElementTypesTest, RoundingToBf16TakesTheNearestAndTheEvenOneOfTwo) {
  for (uint32_t bits = 0; bits < 0x7F80; ++bits) {
    for (const uint32_t sign : {0U, 0x8000U}) {
      const uint32_t lower = bits | sign;
      const auto rounded = [lower](uint32_t rest) {
        return ToBf16(std::bit_cast<float>(lower << 16 | rest)).bits;
      };
      ASSERT_EQ(rounded(0x0001), lower);
      ASSERT_EQ(rounded(0x7FFF), lower);
      ASSERT_EQ(rounded(0x8000), lower + (lower & 1));
      ASSERT_EQ(rounded(0x8001), lower + 1);
      ASSERT_EQ(rounded(0xFFFF), lower + 1);
    }
  }
}

TEST(ElementTypesTest, ANanStaysOneInBf16) {
  for (const uint32_t bits : {0x7F800001U, 0x7FFFFFFFU, 0xFF800001U, 0xFFFFFFFFU, 0x7FC00000U}) {
    EXPECT_TRUE(std::isnan(ToFloat(ToBf16(std::bit_cast<float>(bits))))) << bits;
  }
}

TEST(ElementTypesTest, SizesAndNames) {
  EXPECT_EQ(SizeOf(DataType::kBf16), 2u);
  EXPECT_EQ(SizeOf(DataType::kF16), 2u);
  EXPECT_EQ(SizeOf(DataType::kF32), 4u);
  EXPECT_EQ(NameOf(DataType::kF16), "f16");
}

}  // namespace
}  // namespace llama
