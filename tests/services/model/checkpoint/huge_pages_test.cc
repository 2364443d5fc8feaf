#include "services/model/checkpoint/huge_pages.h"

#include <sys/mman.h>

#include <cstring>
#include <fstream>
#include <span>
#include <sstream>
#include <string>

#include "gtest/gtest.h"
#include "services/model/checkpoint/large_buffer.h"

namespace llama {
namespace {

constexpr size_t kBytes = size_t{32} << 20;

TEST(HugePagesTest, CountsTheHugePagesOfTheMappingsInTheRangeOnly) {
  // As Linux 6 writes it, shortened.
  const std::string text =
      "7f0000000000-7f0000800000 r--s 00000000 fe:00 1234   /models/a b/consolidated.00.pth\n"
      "Size:               8192 kB\n"
      "Rss:                6144 kB\n"
      "AnonHugePages:         0 kB\n"
      "ShmemPmdMapped:        0 kB\n"
      "FilePmdMapped:      4096 kB\n"
      "VmFlags: rd mr me ms hg\n"
      "7f0000800000-7f0000a00000 rw-p 00000000 00:00 0\n"
      "AnonHugePages:      2048 kB\n"
      "7ffe00000000-7ffe00021000 rw-p 00000000 00:00 0      [stack]\n"
      "AnonHugePages:      2048 kB\n";
  const auto count = [&](uintptr_t begin, uintptr_t end) {
    std::istringstream smaps(text);
    return HugePageBytes(smaps, begin, end);
  };
  EXPECT_EQ(count(0x7f0000000000, 0x7f0000800000), 4096u << 10);
  EXPECT_EQ(count(0x7f0000000000, 0x7f0000a00000), 6144u << 10);
  EXPECT_EQ(count(0x7f0000800000, 0x7f0000800001), 2048u << 10);
  EXPECT_EQ(count(0x7f0000a00000, 0x7ffe00000000), 0u);
}

TEST(HugePagesTest, SmallPagesHaveNoShare) {
  void* const memory =
      mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  madvise(memory, kBytes, MADV_NOHUGEPAGE);
  std::memset(memory, 1, kBytes);
  EXPECT_EQ(ShareInHugePages({static_cast<const std::byte*>(memory), kBytes}), 0);
  munmap(memory, kBytes);
}

TEST(HugePagesTest, HugePagesHaveAllOfIt) {
  std::string enabled;
  std::getline(std::ifstream("/sys/kernel/mm/transparent_hugepage/enabled"), enabled);
  if (enabled.find("[always]") == enabled.npos && enabled.find("[madvise]") == enabled.npos) {
    GTEST_SKIP() << "this system gives no huge pages";
  }
  const auto buffer = LargeBuffer::Create(kBytes);
  ASSERT_NE(buffer, nullptr);
  std::memset(buffer->data(), 1, kBytes);
  EXPECT_GT(ShareInHugePages({buffer->data(), kBytes}), 0.5);
}

TEST(HugePagesTest, LessThanAHugePageHasNone) {
  const std::string small(1000, 'x');
  EXPECT_EQ(ShareInHugePages(std::as_bytes(std::span(small))), 0);
}

}  // namespace
}  // namespace llama
