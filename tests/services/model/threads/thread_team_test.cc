#include "services/model/threads/thread_team.h"

#include <sched.h>
#include <time.h>

#include <chrono>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/model/threads/cpu_budget.h"

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

TEST(ThreadTeamTest, WhoeverWaitsSleepsInsteadOfSpinningOn) {
  ThreadTeam team(3);
  const auto processor_time = [] {
    timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
  };
  const auto before = processor_time();
  // In the run two threads wait for the third, and after it two for the next run.
  team.Run([](size_t thread) {
    if (thread == 1) std::this_thread::sleep_for(std::chrono::milliseconds(200));
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  EXPECT_LT(processor_time() - before, std::chrono::milliseconds(100));
}

TEST(ThreadTeamTest, DoesNotSpinWhereThreadsOutnumberProcessors) {
  const CpuBudget two = {.cores = {{0, 2}, {1, 3}}, .threads = 2};
  EXPECT_EQ(SuitableTeamOptions(2, two).spin, kTeamSpin);
  EXPECT_EQ(SuitableTeamOptions(1, two).spin, kTeamSpin);
  EXPECT_EQ(SuitableTeamOptions(3, two).spin.count(), 0);
}

TEST(ThreadTeamTest, HasACoreForEachThreadWhereTheyAreAsMany) {
  const CpuBudget two = {.cores = {{0, 2}, {1, 3}}, .threads = 2};
  EXPECT_EQ(SuitableTeamOptions(2, two).cpus, two.cores);
  EXPECT_TRUE(SuitableTeamOptions(1, two).cpus.empty());
  EXPECT_TRUE(SuitableTeamOptions(3, two).cpus.empty());
  // Two of four cores by a quota: which two are free is for the system to find.
  const CpuBudget quota = {.cores = {{0}, {1}, {2}, {3}}, .cgroup_cpus = 2, .threads = 2};
  EXPECT_TRUE(SuitableTeamOptions(2, quota).cpus.empty());
}

TEST(ThreadTeamTest, RunsOnTheCpusItIsBoundTo) {
  const CpuBudget budget = MeasureCpuBudget();
  const size_t threads = budget.cores.size();
  std::vector<int> seen(threads);
  std::thread([&] {  // Bound for good: not the thread of the other tests.
    ThreadTeam team(threads, {.cpus = budget.cores});
    team.BindCaller();
    team.Run([&](size_t thread) { seen[thread] = sched_getcpu(); });
  })
      .join();
  for (size_t i = 0; i < threads; ++i) EXPECT_THAT(budget.cores[i], testing::Contains(seen[i]));
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
