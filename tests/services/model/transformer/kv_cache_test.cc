#include "services/model/transformer/kv_cache.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>

#include "absl/status/status.h"
#include "gtest/gtest.h"

namespace llama {
namespace {

constexpr int64_t kLayers = 3;
constexpr int64_t kHeads = 2;
constexpr int64_t kHeadDim = 6;
// More than two extents, the last of them begun.
constexpr int64_t kBlocks = 2 * kKvExtentBlocks + 5;

ModelConfig Config(int64_t head_dim) {
  ModelConfig config;
  config.n_layers = kLayers;
  config.n_kv_heads = kHeads;
  config.head_dim = head_dim;
  return config;
}

std::unique_ptr<KvCache> Create(DataType type) {
  return KvCache::Create(Config(kHeadDim), type, kBlocks).value();
}

// Calls visit(place, number) for the keys and values of each block, layer and head.
template <typename Visit>
void ForEach(KvCache& cache, const Visit& visit) {
  uint32_t number = 0;
  for (KvBlock block = 0; block < kBlocks; ++block) {
    for (int64_t layer = 0; layer < kLayers; ++layer) {
      for (int64_t head = 0; head < kHeads; ++head) {
        visit(cache.Keys(block, layer, head), number++);
        visit(cache.Values(block, layer, head), number++);
      }
    }
  }
}

TEST(KvCacheTest, WhatIsWrittenToOnePlaceIsInNoOther) {
  for (const DataType type : {DataType::kBf16, DataType::kF32}) {
    const auto cache = Create(type);
    const size_t count = kKvBlockTokens * kHeadDim * SizeOf(type) / sizeof(uint32_t);
    ForEach(*cache, [&](void* place, uint32_t number) {
      for (size_t i = 0; i < count; ++i) static_cast<uint32_t*>(place)[i] = number;
    });
    ForEach(*cache, [&](const void* place, uint32_t number) {
      for (size_t i = 0; i < count; ++i) {
        ASSERT_EQ(static_cast<const uint32_t*>(place)[i], number);
      }
    });
  }
}

TEST(KvCacheTest, AHeadsBlocksOfSuccessiveNumbersFollowOneAnotherWithinAnExtent) {
  const auto cache = Create(DataType::kBf16);
  constexpr ptrdiff_t kBytes = kKvBlockTokens * kHeadDim * 2;
  const auto gap = [](const void* from, const void* to) {
    return static_cast<const std::byte*>(to) - static_cast<const std::byte*>(from);
  };
  for (KvBlock block = 1; block < kBlocks; ++block) {
    if (block % kKvExtentBlocks == 0) continue;
    ASSERT_EQ(gap(cache->Keys(block - 1, 1, 1), cache->Keys(block, 1, 1)), kBytes);
    ASSERT_EQ(gap(cache->Values(block - 1, 2, 0), cache->Values(block, 2, 0)), kBytes);
  }
}

TEST(KvCacheTest, ASizeThatOverflowsIsRefused) {
  EXPECT_EQ(KvCache::Create(Config(128), DataType::kBf16, INT64_MAX / 2).status().code(),
            absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace llama
