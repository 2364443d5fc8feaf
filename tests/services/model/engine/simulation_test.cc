// Days of random arrivals, cancels, deadlines and slow readers in virtual time, with what the
// engine promises checked after every step.
#include <algorithm>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "common/status_details.h"
#include "gtest/gtest.h"
#include "tests/services/model/engine/virtual_world.h"

namespace llama {
namespace {

#ifdef LNB_SANITIZED  // For which the code is several times as slow.
constexpr int kTrials = 3;
#else
constexpr int kTrials = 12;
#endif

constexpr int64_t kContextLength = 640;

GenerateRequest RandomRequest(std::mt19937& random, absl::Time now) {
  GenerateRequest request;
  // Prompts begin like others', as chats with one system prompt do.
  const auto kind = static_cast<TokenId>(random() % 3);
  const size_t shared = random() % 120;
  const size_t length = 1 + random() % (random() % 10 == 0 ? 400 : 60) + shared;
  for (size_t i = 0; i < length; ++i) {
    request.prompt.push_back(i < shared ? (kind + static_cast<TokenId>(i)) % kVocabulary
                                        : static_cast<TokenId>(random() % kVocabulary));
  }
  request.sampling.temperature = static_cast<float>(random() % 3) / 2;
  request.sampling.seed = random();
  if (random() % 8 > 0) request.stopping.max_tokens = 1 + static_cast<int64_t>(random() % 80);
  request.stopping.eos_token_ids = {5};
  request.progress = random() % 2 == 0;
  request.cache_salt = random() % 5 == 0 ? "tenant" : "";
  request.caller = std::string(1, static_cast<char>('a' + random() % 5));
  if (random() % 6 == 0) {
    request.deadline = now + absl::Milliseconds(static_cast<int64_t>(random() % 20'000));
  }
  if (random() % 6 == 0) {
    request.stopping.time_limit = absl::Milliseconds(1 + static_cast<int64_t>(random() % 20'000));
  }
  return request;
}

void CheckEnd(const Reader& reader) {
  const GenerateRequest& request = reader.request;
  const auto expected = ExpectedReply(request, reader.max_tokens);
  ASSERT_LE(reader.ids.size(), expected.size());
  ASSERT_TRUE(std::equal(reader.ids.begin(), reader.ids.end(), expected.begin()))
      << "the tokens are those of the request alone";
  if (reader.status->ok()) {
    ASSERT_TRUE(reader.finished.has_value());
    ASSERT_EQ(reader.finished->completion_tokens, static_cast<int64_t>(reader.ids.size()));
    ASSERT_LT(reader.finished->cached_prompt_tokens, static_cast<int64_t>(request.prompt.size()));
    if (reader.finished->reason == FinishReason::kTimeLimit) {
      ASSERT_GE(reader.ended, request.received + *request.stopping.time_limit);
    } else {
      ASSERT_EQ(reader.ids, expected) << "whole";
    }
  } else {
    ASSERT_FALSE(reader.finished.has_value());
    ASSERT_TRUE(reader.gone ? absl::IsCancelled(*reader.status)
                            : absl::IsDeadlineExceeded(*reader.status))
        << *reader.status;
    if (!reader.gone) {
      ASSERT_GE(reader.ended, request.deadline);
    }
  }
}

int64_t CostOf(const Reader& reader) {
  return static_cast<int64_t>(reader.request.prompt.size()) + reader.max_tokens;
}

// When requests of a trial came and began, to show that nobody is kept waiting by later ones.
class Turns {
 public:
  void Came(const std::shared_ptr<Reader>& reader) {
    int64_t own = 0;
    for (const Turn& turn : turns_) {
      const bool waits = !turn.reader->status.has_value();
      if (waits && turn.reader->request.caller == reader->request.caller)
        own += CostOf(*turn.reader);
    }
    turns_.push_back({reader, own});
  }
  void Check(int64_t max_running) const {
    for (size_t i = 0; i < turns_.size(); ++i) {
      const auto began = BeganAt(*turns_[i].reader);
      if (!began.has_value() || turns_[i].reader->ever_slow) continue;
      int64_t overtaking = 0;
      for (size_t later = i + 1; later < turns_.size(); ++later) {
        const Reader& other = *turns_[later].reader;
        const auto others = BeganAt(other);
        if (!others.has_value() || *others >= *began) continue;
        overtaking += CostOf(other);
      }
      // Each of four other callers may have as much begun as this one had to do before, and one
      // request on either side more; and those that run take turns.
      ASSERT_LE(overtaking, 4 * (turns_[i].own + 2 * kMostCost) + max_running * kMostCost);
    }
  }

 private:
  static constexpr int64_t kMostCost = kContextLength;
  struct Turn {
    std::shared_ptr<Reader> reader;
    int64_t own;  // What its caller had under way when it came.
  };

  static std::optional<absl::Time> BeganAt(const Reader& reader) {
    if (reader.ids.empty() || !reader.finished.has_value()) return std::nullopt;
    return reader.request.received + reader.finished->timings.queue;
  }

  std::vector<Turn> turns_;
};

TEST(SimulationTest, TheEngineKeepsItsPromisesForDays) {
  std::mt19937 random(17);
  int64_t ends = 0, refusals = 0, cancels = 0, expired = 0, limited = 0, hits = 0;
  for (int trial = 0; trial < kTrials; ++trial) {
    const int64_t max_running = 1 + static_cast<int64_t>(random() % 8);
    World world({.model = {.vocab_size = kVocabulary, .context_length = kContextLength},
                 .engine = {.max_running = max_running,
                            .max_waiting = 4 + static_cast<int64_t>(random() % 20),
                            .max_waiting_prefill_tokens = 1500},
                 .max_batch_tokens = 16 + static_cast<int64_t>(random() % 64),
                 .max_batch_logits = 16,
                 .kv_blocks = 40 + static_cast<int64_t>(random() % 60),
                 .kv_block_bytes = 100},
                absl::Milliseconds(20), absl::Microseconds(200 + 100 * (random() % 20)));
    std::vector<std::shared_ptr<Reader>> alive;
    Turns turns;
    const uint32_t pressure = 2 + random() % 12;  // The higher, the fewer arrivals.
    for (int step = 0; step < 12'000; ++step) {
      for (int i = 0; i < 3 && random() % pressure == 0; ++i) {
        const EngineLoad before = world.core->load();
        absl::Status refused;
        if (auto reader = world.Submit(RandomRequest(random, world.now), &refused)) {
          ASSERT_GT(reader->max_tokens, 0) << "Accepted is written at once";
          turns.Came(reader);
          alive.push_back(std::move(reader));
        } else {
          ++refusals;
          const std::string reason = GetReason(refused);
          ASSERT_TRUE(reason == "QUEUE_FULL" || reason == "DEADLINE_UNREACHABLE") << refused;
          ASSERT_EQ(world.core->load().waiting, before.waiting);
        }
        // Those that were stalled when others came in their place may all wait again.
        ASSERT_LE(world.core->load().waiting, 2 * (world.options.engine.max_waiting + max_running));
      }
      for (const auto& reader : alive) {
        if (random() % 300 == 0) {
          reader->gone = true;
          reader->gone_at = world.now;
        }
        reader->slow = reader->slow ? random() % 30 != 0 : random() % 400 == 0;
        reader->ever_slow = reader->ever_slow || reader->slow;
      }
      const absl::Time begin = world.now;
      const int64_t steps = world.model.steps();
      world.Advance(world.now + absl::Milliseconds(50));

      const EngineLoad load = world.core->load();
      const int64_t total = world.options.kv_blocks * world.options.kv_block_bytes;
      ASSERT_LE(load.kv_cache_bytes_used + load.kv_cache_bytes_cached, total);
      ASSERT_LE(load.running, max_running);
      std::set<KvBlock> owned;
      for (const auto blocks : world.core->owned_blocks()) {
        owned.insert(blocks.begin(), blocks.end());
      }
      ASSERT_EQ(load.kv_cache_bytes_used,
                static_cast<int64_t>(owned.size()) * world.options.kv_block_bytes);
      for (size_t i = alive.size(); i-- > 0;) {
        Reader& reader = *alive[i];
        if (!reader.status.has_value()) {
          ASSERT_FALSE(reader.gone) << "dropped within a step";
          ASSERT_GT(reader.request.deadline, begin);
          if (const auto limit = reader.request.stopping.time_limit; limit.has_value()) {
            ASSERT_GT(reader.request.received + *limit, begin);
          }
          ASSERT_TRUE(reader.slow || world.model.steps() > steps) << "somebody always gets on";
          continue;
        }
        CheckEnd(reader);
        if (HasFatalFailure()) return;
        ++ends;
        cancels += absl::IsCancelled(*reader.status);
        expired += absl::IsDeadlineExceeded(*reader.status);
        if (reader.finished.has_value()) {
          limited += reader.finished->reason == FinishReason::kTimeLimit;
          hits += reader.finished->cached_prompt_tokens > 0;
        }
        alive.erase(alive.begin() + static_cast<ptrdiff_t>(i));
      }
      // An ended request's blocks are free in the same step.
      ASSERT_EQ(load.running + load.waiting, static_cast<int64_t>(alive.size()));
      if (alive.empty()) {
        ASSERT_EQ(load.kv_cache_bytes_used, 0);
      }
    }
    // Nobody is forgotten: once nobody new comes, all end.
    for (const auto& reader : alive) reader->slow = false;
    const absl::Time last = world.now;
    world.RunUntilIdle();
    for (const auto& reader : alive) {
      ASSERT_TRUE(reader->status.has_value());
      CheckEnd(*reader);
    }
    EXPECT_LT(world.now - last, absl::Hours(1));
    turns.Check(max_running);
    EXPECT_EQ(world.core->load().kv_cache_bytes_used, 0);
    EXPECT_EQ(world.core->load().waiting_prefill_tokens, 0);
  }
  EXPECT_GT(ends, 400 * kTrials);
  EXPECT_GT(refusals, 40 * kTrials);
  EXPECT_GT(cancels, 15 * kTrials);
  EXPECT_GT(expired, 4 * kTrials);
  EXPECT_GT(limited, 4 * kTrials);
  EXPECT_GT(hits, 40 * kTrials);
}

TEST(SimulationTest, ACancelInAnyStateGivesItsBlocksBackWithinAStep) {
  std::mt19937 random(23);
  int64_t waiting = 0, prefill = 0, reply = 0, paused = 0, cancels = 0;
  while (cancels < 500) {
    EngineCoreOptions options = ServerOptions();
    options.engine.max_running = 4;
    options.max_batch_tokens = 32;
    options.kv_blocks = 30;  // So few that some are preempted.
    World world(options, absl::Milliseconds(10), absl::Milliseconds(1));
    std::vector<std::shared_ptr<Reader>> readers;
    // Four of them run, where there are more.
    const uint32_t count = 1 + random() % 8;
    for (uint32_t i = 0; i < count; ++i) {
      GenerateRequest request = Request(random(), 1 + random() % 120, 100);
      request.caller = std::to_string(i % 3);
      readers.push_back(world.Submit(request));
      ASSERT_NE(readers.back(), nullptr);
    }
    while (!readers.empty()) {
      for (size_t steps = random() % 8; steps > 0; --steps) {
        readers[random() % readers.size()]->slow = random() % 3 == 0;
        world.Advance(world.now + absl::Milliseconds(10));
      }
      const size_t victim = random() % readers.size();
      const auto reader = readers[victim];
      readers.erase(readers.begin() + static_cast<ptrdiff_t>(victim));
      if (reader->status.has_value()) continue;
      const EngineLoad before = world.core->load();
      reader->gone = true;
      world.Advance(world.now);
      ASSERT_TRUE(reader->status.has_value());
      ASSERT_TRUE(absl::IsCancelled(*reader->status));
      ++cancels;
      paused += reader->slow;
      (reader->ids.empty() ? (before.waiting > 0 ? waiting : prefill) : reply) += 1;
      // What is used is used by the others alone: each of them needs at most these.
      const EngineLoad after = world.core->load();
      int64_t most = 0;
      for (const auto& other : readers) {
        if (other->status.has_value()) continue;
        most += Scheduler::BlocksFor(
            static_cast<int64_t>(other->request.prompt.size() + other->ids.size() + 8));
      }
      ASSERT_LE(after.kv_cache_bytes_used, most * options.kv_block_bytes);
      ASSERT_LT(after.running + after.waiting, before.running + before.waiting);
      if (after.running + after.waiting == 0) {
        ASSERT_EQ(after.kv_cache_bytes_used, 0);
        ASSERT_EQ(after.waiting_prefill_tokens, 0);
      }
    }
    world.Advance(world.now);
    ASSERT_EQ(world.core->load().kv_cache_bytes_used, 0);
  }
  for (const int64_t count : {waiting, prefill, reply, paused}) EXPECT_GT(count, 10);
}

}  // namespace
}  // namespace llama
