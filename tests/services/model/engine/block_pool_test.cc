#include "services/model/engine/block_pool.h"

#include <vector>

#include "gtest/gtest.h"

namespace llama {
namespace {

std::vector<TokenId> Block(TokenId first) {
  std::vector<TokenId> tokens;
  for (TokenId i = 0; i < kKvBlockTokens; ++i) tokens.push_back(first + i);
  return tokens;
}

BlockTokens View(const std::vector<TokenId>& tokens) {
  return std::span(tokens).first<static_cast<size_t>(kKvBlockTokens)>();
}

// Computes and publishes blocks with these first tokens, one after the other.
std::vector<KvBlock> Compute(BlockPool& pool, const std::vector<TokenId>& firsts,
                             absl::string_view salt = "") {
  PrefixChain chain = StartChain(salt);
  std::vector<KvBlock> blocks;
  for (const TokenId first : firsts) {
    blocks.push_back(pool.Publish(chain, pool.Take(), View(Block(first))));
  }
  return blocks;
}

// The blocks that are found for these first tokens.
std::vector<KvBlock> Find(BlockPool& pool, const std::vector<TokenId>& firsts,
                          absl::string_view salt = "") {
  PrefixChain chain = StartChain(salt);
  std::vector<KvBlock> blocks;
  for (const TokenId first : firsts) {
    const auto block = pool.Find(chain, View(Block(first)));
    if (!block.has_value()) break;
    blocks.push_back(*block);
  }
  return blocks;
}

TEST(BlockPoolTest, ReleasedContentsAreFoundUntilTheirBlocksAreNeeded) {
  BlockPool pool(4);
  const auto blocks = Compute(pool, {100, 200, 300});
  EXPECT_EQ(pool.available(), 1);
  pool.Release(blocks);
  EXPECT_EQ(pool.available(), 4);
  EXPECT_EQ(pool.cached(), 3);
  EXPECT_EQ(Find(pool, {100, 200, 300}), blocks);
  EXPECT_EQ(pool.available(), 1);
  EXPECT_EQ(pool.cached(), 0) << "they are in use";
  pool.Release(blocks);
  const std::vector<KvBlock> taken = {pool.Take(), pool.Take()};  // The free one, and the oldest.
  EXPECT_EQ(Find(pool, {100, 200, 300}), (std::vector<KvBlock>{blocks[0], blocks[1]}))
      << "the end of a prefix goes first";
}

TEST(BlockPoolTest, TheLeastRecentlyUsedPrefixGoesFirst) {
  BlockPool pool(4);
  pool.Release(Compute(pool, {1, 2}));
  pool.Release(Compute(pool, {1001, 1002}));
  pool.Release(Find(pool, {1, 2}));
  pool.Release(std::vector<KvBlock>{pool.Take(), pool.Take()});
  EXPECT_EQ(Find(pool, {1, 2}).size(), 2u);
  EXPECT_EQ(Find(pool, {1001}).size(), 0u);
}

TEST(BlockPoolTest, AHitNeedsTheSameSaltAndEverythingBeforeIt) {
  BlockPool pool(8);
  Compute(pool, {100, 200});
  EXPECT_EQ(Find(pool, {100, 200}).size(), 2u);
  EXPECT_EQ(Find(pool, {200}).size(), 0u);
  EXPECT_EQ(Find(pool, {101, 200}).size(), 0u);
  EXPECT_EQ(Find(pool, {100, 200}, "tenant").size(), 0u);
  Compute(pool, {100, 200}, "tenant");
  EXPECT_EQ(Find(pool, {100, 200}, "tenant").size(), 2u);
  EXPECT_NE(Find(pool, {100}, "tenant"), Find(pool, {100}));
}

TEST(BlockPoolTest, ContentsComputedTwiceAreKeptOnce) {
  BlockPool pool(8);
  const auto first = Compute(pool, {1, 2, 3});
  EXPECT_EQ(Compute(pool, {1, 2, 4}), (std::vector<KvBlock>{first[0], first[1], 3}));
  EXPECT_EQ(pool.available(), 4);
  pool.Release(first);
  EXPECT_EQ(pool.available(), 5) << "the other still uses two of them";
}

TEST(BlockPoolTest, AHashThatTwoContentsShareCostsAMissAndNeverAWrongAnswer) {
  BlockPool pool(16, [](uint64_t, BlockTokens) { return uint64_t{7}; });
  const auto first = Compute(pool, {100});
  EXPECT_EQ(Find(pool, {100}), first);
  EXPECT_EQ(Find(pool, {200}).size(), 0u);
  EXPECT_EQ(Find(pool, {100}, "tenant").size(), 0u);
  const auto second = Compute(pool, {200, 300});
  EXPECT_EQ(Find(pool, {200, 300}).size(), 0u);
  EXPECT_EQ(Find(pool, {100, 100}).size(), 1u) << "not its own successor";
  pool.Release(second);
  EXPECT_EQ(pool.cached(), 0);
}

TEST(BlockPoolTest, CountingFindsWhatFindingFindsAndUsesNothing) {
  BlockPool pool(4);
  pool.Release(Compute(pool, {0, 16, 32}));
  std::vector<TokenId> tokens;
  for (TokenId i = 0; i < 70; ++i) tokens.push_back(i);
  EXPECT_EQ(pool.CountCached("", tokens), 48);
  EXPECT_EQ(pool.CountCached("", std::span(tokens).first(47)), 32);
  EXPECT_EQ(pool.CountCached("tenant", tokens), 0);
  EXPECT_EQ(pool.available(), 4);
}

}  // namespace
}  // namespace llama
