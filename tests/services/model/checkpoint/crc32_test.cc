#include "services/model/checkpoint/crc32.h"

#include <zlib.h>

#include <cstring>
#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace llama {
namespace {

class Crc32Test : public testing::TestWithParam<Crc32Method> {};

TEST_P(Crc32Test, GivesThePublishedCheckValue) {
  const char digits[] = "123456789";
  std::vector<std::byte> bytes(9);
  std::memcpy(bytes.data(), digits, bytes.size());
  EXPECT_EQ(GetParam().compute(bytes, 0), 0xCBF43926U);
  EXPECT_EQ(GetParam().compute({}, 0), 0U);
}

TEST_P(Crc32Test, IsZlibsForEverySizeAndAlignment) {
  std::mt19937 random(1);
  std::vector<std::byte> bytes(70000);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  const auto expect_same = [&](size_t begin, size_t size) {
    const std::span<const std::byte> part = std::span(bytes).subspan(begin, size);
    const auto before = static_cast<uint32_t>(size * 2654435761U);
    ASSERT_EQ(GetParam().compute(part, before),
              crc32_z(before, reinterpret_cast<const Bytef*>(part.data()), part.size()))
        << size << " bytes from " << begin;
  };
  for (size_t size = 0; size <= 1100; ++size) expect_same(size % 7, size);
  for (size_t begin = 0; begin < 70; ++begin) expect_same(begin, bytes.size() - 100 + begin % 9);
}

INSTANTIATE_TEST_SUITE_P(Methods, Crc32Test,
                         testing::ValuesIn(SupportedCrc32().begin(), SupportedCrc32().end()),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace llama
