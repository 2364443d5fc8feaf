#include "services/model/threads/shared_rows.h"

#include <atomic>
#include <vector>

#include "gtest/gtest.h"
#include "services/model/threads/thread_team.h"

namespace llama {
namespace {

constexpr size_t kTogether = 16;

TEST(SharedRowsTest, EveryRowIsTakenOnceInWholeMultiples) {
  for (const size_t threads : {1, 2, 3, 7}) {
    ThreadTeam team(threads);
    for (const size_t count : {0, 1, 15, 16, 17, 100, 256, 1000, 2048, 5632, 32'000}) {
      SharedRows rows(count, threads, kTogether, 32);
      std::vector<std::atomic<int>> taken(count);
      std::atomic<bool> whole = true;
      team.Run([&](size_t thread) {
        rows.Take(thread, [&](size_t begin, size_t end) {
          if (begin >= end || begin % kTogether != 0) whole = false;
          if (end % kTogether != 0 && end != count) whole = false;
          for (size_t row = begin; row < end; ++row) ++taken[row];
        });
      });
      EXPECT_TRUE(whole) << count << " rows, " << threads << " threads";
      for (size_t row = 0; row < count; ++row) {
        ASSERT_EQ(taken[row], 1) << row << " of " << count << " rows, " << threads << " threads";
      }
    }
  }
}

TEST(SharedRowsTest, WhoComesLateFindsOnlyItsOwnPartLeft) {
  constexpr size_t kRows = 2048;
  SharedRows rows(kRows, 2, kTogether, 64);
  std::vector<size_t> taken(2);
  for (const size_t thread : {1, 0}) {
    rows.Take(thread, [&](size_t begin, size_t end) { taken[thread] += end - begin; });
  }
  // Half of the rows, three quarters of which are its own; the other has the rest.
  EXPECT_EQ(taken[0], kRows / 2 * 3 / 4);
  EXPECT_EQ(taken[1], kRows - taken[0]);
}

TEST(SharedRowsTest, FewRowsAreNotCutUp) {
  SharedRows rows(256, 2, kTogether, 9);  // Pieces would have 8.
  std::vector<size_t> pieces;
  rows.Take(0, [&](size_t begin, size_t end) { pieces.push_back(end - begin); });
  EXPECT_EQ(pieces, std::vector<size_t>{128});
}

}  // namespace
}  // namespace llama
