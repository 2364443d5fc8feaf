#include "services/model/engine/scheduler.h"

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <set>

#include "gtest/gtest.h"

namespace llama {
namespace {

// A sequence of its own tokens, which begin like others' now and then.
struct Tokens : Schedulable {
  explicit Tokens(std::mt19937& random) {
    length = 1 + static_cast<int64_t>(random() % 60);
    next_logits = random() % 4 == 0 ? 0 : length - 1;
    caller = std::string(1, static_cast<char>('a' + random() % 4));
    cache_salt = random() % 4 == 0 ? "salt" : "";
    cost = length + 20;
    goal = length + static_cast<int64_t>(random() % 30);
    const TokenId kind = random() % 3;
    for (int64_t i = 0; i <= goal; ++i) {
      ids.push_back(random() % 100 == 0 ? static_cast<TokenId>(random()) : kind);
    }
    if (random() % 8 > 0) tokens = &ids;
  }
  std::vector<TokenId> ids;
  int64_t goal;  // The length at which it ends.
};

// Thousands of arrivals, ends and pauses against a tiny cache; after every step each block is free,
// cached or used, and only by sequences with the same tokens up to its end; budgets are kept, and
// the oldest sequence gets on.
TEST(SchedulerTest, KeepsItsPromisesUnderRandomLoad) {
  std::mt19937 random(11);
  int64_t preemptions = 0;
  int64_t hits = 0;
  int64_t shared = 0;
  for (int trial = 0; trial < 30; ++trial) {
    const SchedulerOptions options = {.max_running = 1 + static_cast<int64_t>(random() % 8),
                                      .max_batch_tokens = 8 + static_cast<int64_t>(random() % 60),
                                      .max_batch_logits = 8,
                                      .blocks = 6 + static_cast<int64_t>(random() % 12)};
    Scheduler scheduler(options);
    std::vector<std::unique_ptr<Tokens>> alive;
    int64_t finished = 0;
    for (int step = 0; step < 1500; ++step) {
      if (random() % 3 == 0 && alive.size() < 20) {
        auto sequence = std::make_unique<Tokens>(random);
        scheduler.Add(sequence.get());
        alive.push_back(std::move(sequence));
      }
      for (auto& sequence : alive) sequence->paused = random() % 10 == 0;
      const std::vector<Slice> batch = scheduler.Plan();
      const auto first = std::find_if(alive.begin(), alive.end(),
                                      [](const auto& sequence) { return !sequence->paused; });
      if (first == alive.end()) {
        ASSERT_TRUE(batch.empty());
      } else {
        ASSERT_FALSE(batch.empty());
        const auto runs = [](const auto& sequence) {
          return sequence->running && !sequence->paused;
        };
        const auto oldest = std::find_if(alive.begin(), alive.end(), runs);  // They are in order.
        ASSERT_NE(oldest, alive.end());
        if ((*oldest)->length - (*oldest)->computed == 1) {
          ASSERT_TRUE(std::any_of(batch.begin(), batch.end(), [&](const Slice& slice) {
            return slice.sequence == oldest->get();
          })) << "the oldest reply always gets on";
        }
      }

      // A paused one keeps nobody from its place: those that were preempted by this plan itself
      // have their turn with the next.
      const bool paused_runs = std::ranges::any_of(
          alive, [](const auto& sequence) { return sequence->running && sequence->paused; });
      for (const auto& sequence : alive) {
        ASSERT_FALSE(paused_runs && !sequence->running && !sequence->paused &&
                     !sequence->preempted);
      }

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
      std::map<KvBlock, std::pair<const Tokens*, size_t>> owned;
      for (const auto& sequence : alive) {
        hits += sequence->cached > 0;
        ASSERT_LE(sequence->computed, sequence->next_logits);
        for (size_t b = 0; b < sequence->blocks.size(); ++b) {
          const auto [at, is_new] = owned.insert({sequence->blocks[b], {sequence.get(), b}});
          if (is_new) continue;
          const Tokens& other = *at->second.first;
          ASSERT_TRUE(sequence->tokens != nullptr && other.tokens != nullptr);
          ASSERT_EQ(sequence->cache_salt, other.cache_salt);
          ASSERT_EQ(at->second.second, b);
          const auto end = static_cast<ptrdiff_t>((b + 1) * kKvBlockTokens);
          ASSERT_LE(end, std::min(sequence->computed, other.computed));
          ASSERT_TRUE(
              std::equal(sequence->ids.begin(), sequence->ids.begin() + end, other.ids.begin()));
          ++shared;
        }
      }
      ASSERT_EQ(static_cast<int64_t>(owned.size()) + scheduler.free_blocks(), options.blocks);
      ASSERT_EQ(scheduler.running() + scheduler.waiting(), static_cast<int64_t>(alive.size()));

      for (const Slice& slice : batch) {
        Schedulable& sequence = *slice.sequence;
        scheduler.Advance(slice);
        sequence.next_logits = std::max(sequence.next_logits, sequence.computed);
        if (sequence.computed == sequence.length) ++sequence.length;  // A token is drawn.
      }
      for (size_t i = alive.size(); i-- > 0;) {
        if (alive[i]->length <= alive[i]->goal && random() % 200 != 0) continue;
        scheduler.Remove(alive[i].get());
        ASSERT_TRUE(alive[i]->blocks.empty());
        alive.erase(alive.begin() + static_cast<ptrdiff_t>(i));
        ++finished;
      }
    }
    EXPECT_GT(finished, 10);
    preemptions += scheduler.preemptions();
    for (const auto& sequence : alive) scheduler.Remove(sequence.get());
    EXPECT_EQ(scheduler.free_blocks(), options.blocks);
  }
  EXPECT_GT(preemptions, 100) << "the blocks never ran out: nothing was tested";
  EXPECT_GT(hits, 1000);
  EXPECT_GT(shared, 1000);
}

// Steps until `sequence` has `length` tokens. False if it does not get there.
bool RunTo(Scheduler& scheduler, const Schedulable& sequence, int64_t length) {
  for (int step = 0; step < 1000 && sequence.length < length; ++step) {
    for (const Slice& slice : scheduler.Plan()) {
      scheduler.Advance(slice);
      slice.sequence->next_logits = std::max(slice.sequence->next_logits, slice.sequence->computed);
      if (slice.sequence->computed == slice.sequence->length) ++slice.sequence->length;
    }
  }
  return sequence.length >= length;
}

Schedulable Prompt(int64_t length) {
  Schedulable sequence;
  sequence.length = length;
  sequence.next_logits = length - 1;
  return sequence;
}

TEST(SchedulerTest, BlocksOfSequencesThatGrowTogetherFollowOneAnother) {
  Scheduler scheduler({.max_running = 4, .max_batch_tokens = 100, .blocks = 64});
  std::vector<Schedulable> sequences = {Prompt(30), Prompt(50), Prompt(70), Prompt(90)};
  for (Schedulable& sequence : sequences) scheduler.Add(&sequence);
  for (int step = 0; step < 120; ++step) {
    for (const Slice& slice : scheduler.Plan()) {
      scheduler.Advance(slice);
      Schedulable& sequence = *slice.sequence;
      if (sequence.computed == sequence.length) sequence.next_logits = sequence.length++;
    }
  }
  for (const Schedulable& sequence : sequences) {
    ASSERT_GT(sequence.blocks.size(), 7U);
    for (size_t i = 1; i < sequence.blocks.size(); ++i) {
      EXPECT_EQ(sequence.blocks[i], sequence.blocks[i - 1] + 1);
    }
  }
}

TEST(SchedulerTest, APausedSequenceWithAllTheBlocksStopsNobody) {
  Scheduler scheduler({.max_running = 4, .blocks = 4});
  Schedulable paused = Prompt(40), other = Prompt(40);
  scheduler.Add(&paused);
  ASSERT_TRUE(RunTo(scheduler, paused, 60));
  paused.paused = true;
  scheduler.Add(&other);
  EXPECT_TRUE(RunTo(scheduler, other, 64));
  paused.paused = false;
  scheduler.Remove(&other);
  EXPECT_TRUE(RunTo(scheduler, paused, 64)) << "and goes on where it was";
}

TEST(SchedulerTest, APausedSequenceLeavesItsPlaceToOneThatWaits) {
  Scheduler scheduler({.max_running = 1, .blocks = 100});
  Schedulable paused = Prompt(40), other = Prompt(40);
  scheduler.Add(&paused);
  ASSERT_TRUE(RunTo(scheduler, paused, 50));
  paused.paused = true;
  ASSERT_TRUE(scheduler.Plan().empty());
  EXPECT_EQ(scheduler.preemptions(), 0) << "nobody waits";
  scheduler.Add(&other);
  EXPECT_TRUE(RunTo(scheduler, other, 50));
}

TEST(SchedulerTest, TheLastToComeGivesWayAndKeepsItsTurn) {
  Scheduler scheduler({.max_running = 4, .blocks = 8});
  Schedulable first = Prompt(50), second = Prompt(50), third = Prompt(5);
  scheduler.Add(&first);
  scheduler.Add(&second);
  ASSERT_TRUE(RunTo(scheduler, second, 60));
  scheduler.Add(&third);
  ASSERT_TRUE(RunTo(scheduler, first, 80));
  EXPECT_TRUE(first.running);
  EXPECT_FALSE(second.running);
  EXPECT_EQ(scheduler.PositionOf(&second), 0);
  EXPECT_EQ(scheduler.PositionOf(&third), 1) << "it came later";
  scheduler.Remove(&first);
  EXPECT_TRUE(RunTo(scheduler, second, 80));
}

TEST(SchedulerTest, APromptIsNotBegunBeforeThereIsRoomForAllOfIt) {
  Scheduler scheduler({.max_running = 4, .blocks = 8});
  Schedulable first = Prompt(90), second = Prompt(60);
  scheduler.Add(&first);
  ASSERT_TRUE(RunTo(scheduler, first, 91));
  scheduler.Add(&second);
  ASSERT_TRUE(RunTo(scheduler, first, 120));
  EXPECT_EQ(scheduler.preemptions(), 0);
  EXPECT_EQ(second.computed, 0);
}

TEST(SchedulerTest, AScoreGetsAsManyPositionsPerStepAsThereAreLogits) {
  Scheduler scheduler({.max_running = 1, .max_batch_logits = 8, .blocks = 8});
  Schedulable score = Prompt(100);
  score.next_logits = 30;
  scheduler.Add(&score);
  const std::vector<Slice> batch = scheduler.Plan();
  ASSERT_EQ(batch.size(), 1u);
  EXPECT_EQ(batch[0].count, 38) << "30 without logits, 8 with";
}

TEST(SchedulerTest, ACallersSecondRequestHasItsTurnAfterTheFirstOnesOfOthers) {
  Scheduler scheduler({.max_running = 1, .blocks = 100});
  std::vector<Schedulable> many(5, Prompt(10)), few(2, Prompt(10));
  for (Schedulable& sequence : many) sequence.caller = "many";
  for (Schedulable& sequence : few) sequence.caller = "few";
  for (auto* const all : {&many, &few}) {
    for (Schedulable& sequence : *all) {
      sequence.cost = 10;
      scheduler.Add(&sequence);
    }
  }
  std::vector<std::string> order;
  while (scheduler.waiting() > 0) {
    Schedulable* const next = scheduler.Plan().front().sequence;
    order.push_back(next->caller);
    scheduler.Remove(next);
  }
  EXPECT_EQ(order,
            (std::vector<std::string>{"many", "few", "many", "few", "many", "many", "many"}));
}

TEST(SchedulerTest, NewCallersDoNotKeepAnOldOneWaitingForEver) {
  Scheduler scheduler({.max_running = 1, .blocks = 100});
  std::vector<Schedulable> old(3, Prompt(10));
  for (Schedulable& sequence : old) {
    sequence.caller = "old";
    sequence.cost = 1000;
    scheduler.Add(&sequence);
  }
  std::vector<std::unique_ptr<Schedulable>> others;
  for (int64_t i = 0; i < 10'000; ++i) {
    others.push_back(std::make_unique<Schedulable>(Prompt(10)));
    others.back()->caller = std::to_string(i);
    others.back()->cost = 10;
    scheduler.Add(others.back().get());
    Schedulable* const next = scheduler.Plan().front().sequence;
    if (next == &old[2]) return;
    scheduler.Remove(next);
  }
  FAIL() << "it still waits";
}

// Until each of them has drawn a token.
bool BeginReplies(Scheduler& scheduler, std::vector<Schedulable>& replies) {
  return std::ranges::all_of(replies, [&](Schedulable& sequence) {
    scheduler.Add(&sequence);
    return RunTo(scheduler, sequence, sequence.length + 1);
  });
}

TEST(SchedulerTest, PromptsTakeNoMoreThanTheirBudgetBesideReplies) {
  Scheduler scheduler({.max_running = 9, .max_batch_tokens = 512, .blocks = 1000});
  std::vector<Schedulable> replies(8, Prompt(20));
  ASSERT_TRUE(BeginReplies(scheduler, replies));
  EXPECT_EQ(scheduler.decodes(), 8);
  Schedulable prompt = Prompt(4000);
  scheduler.Add(&prompt);
  for (int64_t step = 0; step < 10; ++step) {
    const std::vector<Slice> batch = scheduler.Plan({.beside_decodes = step * 7});
    ASSERT_EQ(batch.size(), step == 0 ? 8u : 9u) << "every reply is in every step";
    if (step > 0) {
      EXPECT_EQ(batch.back().count, step * 7);
    }
  }
}

TEST(SchedulerTest, PromptsTakeTurnsHoweverManyRepliesRun) {
  Scheduler scheduler({.max_running = 32, .max_batch_tokens = 512, .blocks = 1000});
  std::vector<Schedulable> replies(29, Prompt(20));
  ASSERT_TRUE(BeginReplies(scheduler, replies));
  std::vector<Schedulable> prompts = {Prompt(4000), Prompt(1000), Prompt(100)};
  for (Schedulable& prompt : prompts) scheduler.Add(&prompt);
  // A third of the steps for each, and no step is lost that holds no prompts.
  for (int64_t step = 0; step < 30; ++step) {
    const bool probe = step % 7 == 3;
    for (const Slice& slice : scheduler.Plan({.beside_decodes = probe ? 0 : 10})) {
      scheduler.Advance(slice);
      if (slice.sequence->computed == slice.sequence->length) ++slice.sequence->length;
    }
  }
  for (const Schedulable& prompt : prompts) {
    EXPECT_NEAR(prompt.computed, 26 * 10 / 3, 10) << prompt.length;
  }
}

}  // namespace
}  // namespace llama
