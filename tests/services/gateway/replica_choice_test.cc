#include "services/gateway/replica_choice.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace llama {
namespace {

constexpr uint64_t kKeys = 3000;

std::vector<ReplicaLoad> Idle(size_t count) {
  std::vector<ReplicaLoad> replicas;
  for (size_t i = 0; i < count; ++i) {
    replicas.push_back({.id = StableHash(absl::StrCat("10.0.0.", i, ":50052"))});
  }
  return replicas;
}

uint64_t Key(uint64_t number) { return StableHash(absl::StrCat("prompt ", number)); }

// What other gateways, of other versions on other machines, must find too.
TEST(StableHashTest, IsTheSameInEveryProcess) {
  EXPECT_EQ(StableHash("model:50052"), StableHash(std::string("model:50052")));
  EXPECT_NE(StableHash("a"), StableHash("b"));
  EXPECT_NE(StableHash("a", 1), StableHash("a", 2));
  EXPECT_NE(StableHash(""), StableHash(absl::string_view("\0", 1)));
  EXPECT_EQ(StableHash("model:50052"), 0x75402AF7AE61B147u);
}

TEST(ReplicaChoiceTest, AKeyGoesToTheSameReplicaInWhateverOrderTheyAreListed) {
  const std::vector<ReplicaLoad> replicas = Idle(5);
  std::vector<ReplicaLoad> reversed(replicas.rbegin(), replicas.rend());
  for (uint64_t i = 0; i < kKeys; ++i) {
    const uint64_t id = replicas[*ChooseReplica(Key(i), replicas)].id;
    ASSERT_EQ(replicas[*ChooseReplica(Key(i), replicas)].id, id);
    ASSERT_EQ(reversed[*ChooseReplica(Key(i), reversed)].id, id);
  }
}

TEST(ReplicaChoiceTest, ManyKeysAreSpreadEvenly) {
  for (const size_t count : {1, 2, 3, 7, 20}) {
    const std::vector<ReplicaLoad> replicas = Idle(count);
    std::vector<double> keys(count);
    for (uint64_t i = 0; i < kKeys; ++i) ++keys[*ChooseReplica(Key(i), replicas)];
    const double share = static_cast<double>(kKeys) / static_cast<double>(count);
    for (const double got : keys) EXPECT_NEAR(got, share, 5 * std::sqrt(share)) << count;
  }
}

TEST(ReplicaChoiceTest, AReplicaThatGoesMovesOnlyItsOwnKeys) {
  const std::vector<ReplicaLoad> replicas = Idle(5);
  for (size_t gone = 0; gone < replicas.size(); ++gone) {
    std::vector<ReplicaLoad> left = replicas;
    left[gone].usable = false;
    std::vector<ReplicaLoad> listed = replicas;
    listed.erase(listed.begin() + static_cast<ptrdiff_t>(gone));
    std::vector<int64_t> moved(replicas.size());
    for (uint64_t i = 0; i < kKeys; ++i) {
      const size_t before = *ChooseReplica(Key(i), replicas);
      const size_t after = *ChooseReplica(Key(i), left);
      ASSERT_NE(after, gone);
      if (before == gone) {
        ++moved[after];
      } else {
        ASSERT_EQ(after, before);
      }
      ASSERT_EQ(listed[*ChooseReplica(Key(i), listed)].id, left[after].id);
    }
    // And these to all of the others.
    for (size_t i = 0; i < moved.size(); ++i) EXPECT_EQ(moved[i] > 0, i != gone);
  }
}

TEST(ReplicaChoiceTest, NoReplicaGetsMoreThanItsBoundOfCallsUnderWay) {
  for (const size_t count : {1, 2, 3, 7, 20}) {
    std::vector<ReplicaLoad> replicas = Idle(count);
    for (int64_t calls = 0; calls < 500; ++calls) {
      const size_t choice = *ChooseReplica(Key(1), replicas);  // All the same prompt.
      const double share = static_cast<double>(calls + 1) / static_cast<double>(count);
      ASSERT_LT(static_cast<double>(replicas[choice].calls), 1.25 * share + 1);
      ++replicas[choice].calls;
    }
  }
}

TEST(ReplicaChoiceTest, BelowTheBoundLoadsChangeNothing) {
  std::vector<ReplicaLoad> replicas = Idle(3);
  for (uint64_t i = 0; i < kKeys; ++i) {
    for (ReplicaLoad& replica : replicas) replica.calls = 0;
    const size_t preferred = *ChooseReplica(Key(i), replicas);
    for (ReplicaLoad& replica : replicas) replica.calls = 8;
    replicas[preferred].calls = 11;  // The bound is 1.25 * 28 / 3 + 1 = 12.7.
    ASSERT_EQ(*ChooseReplica(Key(i), replicas), preferred);
    replicas[preferred].calls = 13;  // 13.5, then 14.3.
    ASSERT_EQ(*ChooseReplica(Key(i), replicas), preferred);
    replicas[preferred].calls = 15;
    ASSERT_NE(*ChooseReplica(Key(i), replicas), preferred);
  }
}

// The calls of those that are not used neither count nor make room.
TEST(ReplicaChoiceTest, OnlyUsableReplicasShare) {
  std::vector<ReplicaLoad> replicas = Idle(3);
  replicas[0] = {.id = replicas[0].id, .calls = 1000, .usable = false};
  std::vector<int64_t> calls(3);
  for (int64_t i = 0; i < 100; ++i) {
    const size_t choice = *ChooseReplica(Key(1), replicas);
    ++replicas[choice].calls;
    ++calls[choice];
  }
  EXPECT_EQ(calls[0], 0);
  EXPECT_LE(std::max(calls[1], calls[2]), 64);  // 1.25 * 50 + 1, rounded up.
}

TEST(ReplicaChoiceTest, WithoutUsableReplicasThereIsNoChoice) {
  EXPECT_EQ(ChooseReplica(1, {}), std::nullopt);
  std::vector<ReplicaLoad> replicas = Idle(2);
  for (ReplicaLoad& replica : replicas) replica.usable = false;
  EXPECT_EQ(ChooseReplica(1, replicas), std::nullopt);
}

}  // namespace
}  // namespace llama
