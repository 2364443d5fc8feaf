#include "services/model/engine/scheduler.h"

#include <memory>
#include <random>
#include <set>

#include "gtest/gtest.h"

namespace llama {
namespace {

// Thousands of arrivals, ends and pauses against a tiny cache; after every step each block has one
// owner, budgets are kept, and the oldest sequence gets on.
TEST(SchedulerTest, KeepsItsPromisesUnderRandomLoad) {
  std::mt19937 random(11);
  for (int trial = 0; trial < 30; ++trial) {
    const SchedulerOptions options = {.max_running = 1 + static_cast<int64_t>(random() % 8),
                                      .max_batch_tokens = 8 + static_cast<int64_t>(random() % 60),
                                      .max_batch_logits = 8,
                                      .blocks = 6 + static_cast<int64_t>(random() % 12)};
    Scheduler scheduler(options);
    std::vector<std::unique_ptr<Schedulable>> alive;
    std::vector<int64_t> goals;  // The length at which each ends.
    int64_t finished = 0;
    for (int step = 0; step < 1500; ++step) {
      if (random() % 3 == 0 && alive.size() < 20) {
        auto sequence = std::make_unique<Schedulable>();
        sequence->length = 1 + static_cast<int64_t>(random() % 60);
        sequence->next_logits = random() % 4 == 0 ? 0 : sequence->length - 1;
        goals.push_back(sequence->length + static_cast<int64_t>(random() % 30));
        scheduler.Add(sequence.get());
        alive.push_back(std::move(sequence));
      }
      for (auto& sequence : alive) sequence->paused = random() % 10 == 0;
      const std::vector<Slice> batch = scheduler.Plan();

      int64_t tokens = 0;
      int64_t logits = 0;
      std::set<const Schedulable*> in_batch;
      for (const Slice& slice : batch) {
        ASSERT_TRUE(in_batch.insert(slice.sequence).second);
        ASSERT_FALSE(slice.sequence->paused);
        ASSERT_EQ(slice.begin, slice.sequence->computed);
        ASSERT_GE(slice.count, 1);
        ASSERT_LE(slice.begin + slice.count, slice.sequence->length);
        ASSERT_GE(static_cast<int64_t>(slice.sequence->blocks.size()),
                  Scheduler::BlocksFor(slice.begin + slice.count));
        tokens += slice.count;
        for (int64_t p = slice.begin; p < slice.begin + slice.count; ++p) {
          logits += p >= slice.sequence->next_logits ? 1 : 0;
        }
      }
      ASSERT_LE(tokens, options.max_batch_tokens);
      ASSERT_LE(logits, options.max_batch_logits);
      ASSERT_LE(scheduler.running(), options.max_running);
      std::set<KvBlock> owned;
      for (const auto& sequence : alive) {
        for (const KvBlock block : sequence->blocks) ASSERT_TRUE(owned.insert(block).second);
      }
      ASSERT_EQ(static_cast<int64_t>(owned.size()) + scheduler.free_blocks(), options.blocks);
      ASSERT_EQ(scheduler.running() + scheduler.waiting(), static_cast<int64_t>(alive.size()));

      for (const Slice& slice : batch) {
        Schedulable& sequence = *slice.sequence;
        sequence.computed += slice.count;
        sequence.next_logits = std::max(sequence.next_logits, sequence.computed);
        if (sequence.computed == sequence.length) ++sequence.length;  // A token is drawn.
      }
      for (size_t i = alive.size(); i-- > 0;) {
        if (alive[i]->length <= goals[i] && random() % 200 != 0) continue;
        scheduler.Remove(alive[i].get());
        ASSERT_TRUE(alive[i]->blocks.empty());
        alive.erase(alive.begin() + static_cast<ptrdiff_t>(i));
        goals.erase(goals.begin() + static_cast<ptrdiff_t>(i));
        ++finished;
      }
    }
    EXPECT_GT(finished, 10);
    for (const auto& sequence : alive) scheduler.Remove(sequence.get());
    EXPECT_EQ(scheduler.free_blocks(), options.blocks);
  }
}

}  // namespace
}  // namespace llama
