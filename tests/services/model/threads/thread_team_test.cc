#include "services/model/threads/thread_team.h"

#include <chrono>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace llama {
namespace {

TEST(ThreadTeamTest, EveryThreadWorksOnceARoundAndSeesTheRoundBefore) {
  for (const size_t threads : {1, 2, 3, 7}) {
    ThreadTeam team(threads);
    EXPECT_EQ(team.size(), threads);
    std::vector<int> counts(threads);  // Not atomic: rounds must not overlap.
    for (int round = 0; round < 2000; ++round) {
      team.Run([&](size_t thread) {
        EXPECT_EQ(counts[(thread + 1) % threads] / 2 * 2, counts[thread] / 2 * 2);
      });
      team.Run([&](size_t thread) { ++counts[thread]; });
      team.Run([&](size_t thread) { ++counts[thread]; });
    }
    for (const int count : counts) EXPECT_EQ(count, 4000);
  }
}

TEST(ThreadTeamTest, WakesAfterAPause) {
  ThreadTeam team(3);
  for (int round = 0; round < 5; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // The others park meanwhile.
    std::vector<int> done(3);
    team.Run([&](size_t thread) { done[thread] = 1; });
    EXPECT_EQ(done, std::vector<int>(3, 1));
  }
}

TEST(ShareTest, SharesCoverEverythingOnceInMultiples) {
  for (size_t count = 0; count < 70; ++count) {
    for (const size_t threads : {1, 2, 3, 8}) {
      for (const size_t multiple : {1, 4}) {
        size_t end = 0;
        for (size_t thread = 0; thread < threads; ++thread) {
          const auto share = Share(count, thread, threads, multiple);
          EXPECT_EQ(share.first, end);
          EXPECT_TRUE(share.first % multiple == 0 || share.first == count);
          EXPECT_LE(share.first, share.second);
          end = share.second;
        }
        EXPECT_EQ(end, count);
      }
    }
  }
}

}  // namespace
}  // namespace llama
