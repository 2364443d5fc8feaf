#include "services/model/engine/free_blocks.h"

#include <optional>
#include <random>
#include <set>
#include <vector>

#include "gtest/gtest.h"

namespace llama {
namespace {

TEST(FreeBlocksTest, EachBlockIsTakenOnceAndAgainWhenItIsGivenBack) {
  std::mt19937 random(3);
  for (const int64_t blocks : {1, 15, 16, 17, 100}) {
    FreeBlocks free(blocks);
    std::vector<KvBlock> taken;
    std::set<KvBlock> all;
    for (int step = 0; step < 2000; ++step) {
      ASSERT_EQ(free.count(), blocks - std::ssize(taken));
      if (free.count() > 0 && (taken.empty() || random() % 3 > 0)) {
        const auto previous = taken.empty() || random() % 2 == 0
                                  ? std::nullopt
                                  : std::optional(taken[random() % taken.size()]);
        const KvBlock block = free.Take(previous);
        ASSERT_LT(block, blocks);
        ASSERT_TRUE(all.insert(block).second) << block;
        taken.push_back(block);
      } else {
        std::swap(taken[random() % taken.size()], taken.back());
        all.erase(taken.back());
        free.Add(taken.back());
        taken.pop_back();
      }
    }
  }
}

TEST(FreeBlocksTest, ASequencesBlocksFollowOneAnotherThoughOthersGrowAtTheSameTime) {
  FreeBlocks free(200);
  std::vector<std::vector<KvBlock>> sequences(10);
  for (int i = 0; i < 16; ++i) {
    for (auto& blocks : sequences) {
      blocks.push_back(free.Take(blocks.empty() ? std::nullopt : std::optional(blocks.back())));
      EXPECT_EQ(blocks.back(), blocks.front() + static_cast<KvBlock>(i));
    }
  }
}

TEST(FreeBlocksTest, ASequenceBeginsInTheLowestOfTheRunsWithTheMostFreeBlocks) {
  FreeBlocks free(48);
  std::vector<KvBlock> taken;
  for (int i = 0; i < 48; ++i)
    taken.push_back(free.Take(i == 0 ? std::nullopt : std::optional(taken.back())));
  for (const KvBlock block : {5, 20, 27, 40, 41}) free.Add(block);
  EXPECT_EQ(free.Take(std::nullopt), 20);
  EXPECT_EQ(free.Take(std::nullopt), 40) << "two are free there, and one in the others";
  EXPECT_EQ(free.Take(std::nullopt), 5);
  EXPECT_EQ(free.Take(40), 41) << "the next one, wherever it is";
  EXPECT_EQ(free.Take(15), 27) << "16 is not free";
  EXPECT_EQ(free.count(), 0);
}

}  // namespace
}  // namespace llama
