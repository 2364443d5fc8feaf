// What single callers see of the engine, and when, in virtual time.
#include <algorithm>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/proto_duration.h"
#include "common/status_details.h"
#include "gtest/gtest.h"
#include "tests/services/model/engine/virtual_world.h"

namespace llama {
namespace {

TEST(VirtualTimeTest, ALongPromptDoesNotStallRepliesUnderWay) {
  World world(ServerOptions(), absl::Milliseconds(100), absl::Milliseconds(5));
  std::vector<std::shared_ptr<Reader>> replies;
  for (uint32_t i = 0; i < 8; ++i) replies.push_back(world.Submit(Request(i, 30, 700)));
  while (std::ranges::any_of(replies, [](const auto& r) { return r->ids.size() < 20; })) {
    world.Advance(world.now);
  }
  const absl::Time arrival = world.now;
  const auto prompt = world.Submit(Request(9, 4000, 1));
  for (const auto& reply : replies) reply->message_gaps.clear();
  while (!prompt->status.has_value()) world.Advance(world.now);
  const absl::Duration alone = absl::Milliseconds(5) * 4000;
  EXPECT_LT(world.now - arrival, 2.5 * alone) << "nor is it starved";
  world.RunUntilIdle();
  for (const auto& reply : replies) {
    ASSERT_EQ(reply->ids.size(), 700u);
    std::vector<absl::Duration> gaps = reply->message_gaps;
    std::ranges::sort(gaps);
    EXPECT_LE(gaps.back(), 3 * gaps[gaps.size() / 2]);
  }
}

TEST(VirtualTimeTest, AChatOfTenTurnsComputesOnlyEachNewTurn) {
  World world(ServerOptions(), absl::Milliseconds(100), absl::Milliseconds(5));
  GenerateRequest turn = Request(1, 50, 40);
  std::mt19937 random(3);
  for (int i = 0; i < 10; ++i) {
    const int64_t computed = world.model.tokens();
    const auto reply = world.Submit(turn);
    world.RunUntilIdle();
    ASSERT_TRUE(reply->finished.has_value());
    EXPECT_EQ(reply->ids, ExpectedReply(turn, 40));
    const auto prompt = static_cast<int64_t>(turn.prompt.size());
    if (i > 0) {
      // All but the 30 new tokens, the last reply's last token, and a block that was not full.
      EXPECT_GE(reply->finished->cached_prompt_tokens, prompt - 30 - 1 - (kKvBlockTokens - 1));
    }
    EXPECT_EQ(world.model.tokens() - computed,
              prompt - reply->finished->cached_prompt_tokens + 40 - 1);
    turn.prompt.insert(turn.prompt.end(), reply->ids.begin(), reply->ids.end());
    for (int t = 0; t < 30; ++t) {
      turn.prompt.push_back(static_cast<TokenId>(random() % kVocabulary));
    }
  }
  EXPECT_EQ(world.core->load().kv_cache_bytes_used, 0);
  EXPECT_GT(world.core->load().kv_cache_bytes_cached, 0);
}

TEST(VirtualTimeTest, TheSamePromptAgainComputesItsLastBlockOnly) {
  for (const size_t length : {1, 15, 16, 17, 63, 64, 65}) {
    World world(ServerOptions(), absl::Milliseconds(100), absl::Milliseconds(5));
    const GenerateRequest request = Request(1, length, 1);
    world.Submit(request);
    world.RunUntilIdle();
    const int64_t computed = world.model.tokens();
    const auto again = world.Submit(request);
    world.RunUntilIdle();
    // The last token is computed in any case: its logits are wanted.
    const auto cached = static_cast<int64_t>(length - 1) / kKvBlockTokens * kKvBlockTokens;
    EXPECT_EQ(again->finished->cached_prompt_tokens, cached);
    EXPECT_EQ(world.model.tokens() - computed, static_cast<int64_t>(length) - cached);
    GenerateRequest other = request;
    other.cache_salt = "tenant";
    const auto others = world.Submit(other);
    world.RunUntilIdle();
    EXPECT_EQ(others->finished->cached_prompt_tokens, 0);
    EXPECT_EQ(others->ids, again->ids);
  }
}

TEST(VirtualTimeTest, AShortPromptAfterAFloodFromAnotherCallerGoesFirst) {
  EngineCoreOptions options = ServerOptions();
  options.engine.max_running = 1;
  World world(options, absl::Milliseconds(100), absl::Milliseconds(5));
  std::vector<std::shared_ptr<Reader>> flood;
  absl::Status refused;
  for (uint32_t i = 0; i < 200; ++i) {
    GenerateRequest request = Request(i, 100, 50);
    request.caller = "flood";
    if (auto reader = world.Submit(request, &refused)) flood.push_back(std::move(reader));
    if (i == 16) world.Advance(world.now);
  }
  EXPECT_EQ(GetReason(refused), "QUEUE_FULL");
  GenerateRequest request = Request(1000, 100, 50);
  request.caller = "other";
  const auto other = world.Submit(request, &refused);
  ASSERT_NE(other, nullptr) << refused;
  world.RunUntilIdle();
  const auto before = std::ranges::count_if(
      flood, [&](const auto& reader) { return reader->first_token < other->first_token; });
  EXPECT_LE(before, 2) << "the one that ran, and the one whose turn it was";
}

TEST(VirtualTimeTest, ReadersThatStandStillKeepNobodyOut) {
  World world(ServerOptions(), absl::Milliseconds(100), absl::Milliseconds(1));
  std::vector<std::shared_ptr<Reader>> stalled;
  const auto stall = [&](uint32_t seed) {
    auto reader = world.Submit(Request(seed, 40, 60));
    if (reader == nullptr) return false;
    while (reader->ids.size() < 5) world.Advance(world.now);
    reader->slow = true;
    stalled.push_back(std::move(reader));
    return true;
  };
  for (uint32_t i = 0; i < 60; ++i) {
    ASSERT_TRUE(stall(i)) << i;
    // As soon as the last one stands still, the next one is answered as if it were alone.
    const auto next = world.Submit(Request(1000 + i, 40, 1));
    ASSERT_NE(next, nullptr);
    const int64_t steps = world.model.steps();
    while (!next->status.has_value()) world.Advance(world.now);
    ASSERT_LE(world.model.steps() - steps, 2) << i;
    ASSERT_EQ(next->ids, ExpectedReply(next->request, 1));
  }
  // There are bounds to it.
  for (uint32_t i = 60; stall(i); ++i) ASSERT_LT(i, 200u);
  EXPECT_GE(stalled.size(), 64u + 16u);
  for (const auto& reader : stalled) reader->slow = false;
  world.RunUntilIdle();
  for (const auto& reader : stalled) EXPECT_EQ(reader->ids, ExpectedReply(reader->request, 60));
}

// Requests of about these lengths, no two alike.
struct Shape {
  int64_t prompt;
  int64_t reply;
  // Replies end by themselves, and might be so many times as long.
  int64_t limit = 1;

  GenerateRequest Make(std::mt19937& random) const {
    const auto around = [&](int64_t length) {
      return length / 2 + 1 + static_cast<int64_t>(random()) % length;
    };
    while (true) {
      // One after the other: the order of arguments is the compiler's.
      const int64_t most = around(reply) * limit;
      const int64_t length = around(prompt);
      GenerateRequest request =
          Request(static_cast<uint32_t>(random()), static_cast<size_t>(length), most);
      if (limit == 1) return request;
      request.stopping.eos_token_ids = {5};
      const auto ends = static_cast<int64_t>(ExpectedReply(request, most).size());
      if (ends > reply / 2 && ends <= reply * 3 / 2) return request;
    }
  }
};

absl::Duration RetryDelay(const absl::Status& refused) {
  return FromProto(GetDetail<google::rpc::RetryInfo>(refused)->retry_delay());
}

// A machine on which a step takes `base`, and `token` more for each of its tokens.
struct Machine {
  absl::Duration base;
  absl::Duration token;
};

struct Refusal {
  GenerateRequest request;
  absl::Time time;
  absl::Duration delay;
  int64_t let_in = 0;  // Before it.
};

// Submits requests until one is refused.
Refusal Flood(World& world, const Shape& shape, std::mt19937& random) {
  Refusal refusal;
  absl::Status refused;
  while (true) {
    refusal.request = shape.Make(random);
    if (world.Submit(refusal.request, &refused) == nullptr) break;
    ++refusal.let_in;
  }
  EXPECT_EQ(GetReason(refused), "QUEUE_FULL");
  refusal.time = world.now;
  refusal.delay = RetryDelay(refused);
  return refusal;
}

// How long it takes until a refused request would have been let in, if it had come then.
absl::Duration TimeUntilLetIn(World& world, const Refusal& refusal) {
  std::optional<absl::Duration> time;
  world.before_batch = [&] {
    if (!time.has_value() && world.Submit(refusal.request) != nullptr) {
      time = world.now - refusal.time;
    }
  };
  while (!time.has_value()) world.Advance(world.now);
  world.before_batch = nullptr;
  return *time;
}

// Within a factor of two. Between steps nothing changes: one of replies only is the finest that can
// be told.
bool ComesTrue(absl::Duration foreseen, absl::Duration actual, absl::Duration step) {
  return actual <= 2 * foreseen + step && actual + step >= foreseen / 2;
}

TEST(VirtualTimeTest, RetryDelaysComeTrueWithinAFactorOfTwo) {
  for (const int64_t prompt : {20, 300, 2000}) {
    for (const int64_t reply : {10, 100, 400}) {
      World world(ServerOptions(), absl::Milliseconds(100), absl::Milliseconds(5));
      std::mt19937 random(7);
      absl::Status refused;
      int64_t checks = 0;
      for (uint32_t i = 0; checks < 12; ++i) {
        ASSERT_LT(i, 20'000u);
        const GenerateRequest request = Shape{prompt, reply}.Make(random);
        if (world.Submit(request, &refused) != nullptr) {
          if (random() % 4 == 0) world.Advance(world.now);
          continue;
        }
        ASSERT_EQ(GetReason(refused), "QUEUE_FULL");
        const Refusal refusal = {request, world.now, RetryDelay(refused)};
        const absl::Duration actual = TimeUntilLetIn(world, refusal);
        EXPECT_TRUE(ComesTrue(refusal.delay, actual, absl::Milliseconds(200)))
            << prompt << " " << reply << " " << refusal.delay << " " << actual;
        ++checks;
        for (uint32_t steps = random() % 40; steps > 0; --steps) world.Advance(world.now);
      }
    }
  }
}

// A burst into an engine that has been in use and has nothing to do.
class Burst {
 public:
  // Before the engine's thread wakes, while it takes what has come, or within its first step.
  enum class Arrival { kBefore, kBetween, kWithin };

  Burst(const Machine& machine, const Shape& shape)
      : shape_(shape),
        step_(machine.base + 16 * machine.token),
        world_(ServerOptions(), machine.base, machine.token) {
    EXPECT_EQ(world_.core->load().wait_when_full, std::nullopt) << "nothing is known yet";
  }

  // Some requests, so many at a time, until all are over.
  void Use(int64_t at_a_time) {
    for (int i = 0; i < 32; ++i) {
      while (world_.core->load().running + world_.core->load().waiting >= at_a_time) {
        world_.Advance(world_.now);
      }
      ASSERT_NE(Submit(), nullptr);
    }
    world_.RunUntilIdle();
  }

  // Whether what the burst is told comes true, and what was foreseen before.
  void Come(Arrival arrival, absl::Duration idle) {
    SCOPED_TRACE(absl::StrCat(shape_.prompt, " ", shape_.reply, " ", static_cast<int>(arrival)));
    world_.now += idle;
    const auto foreseen = world_.core->load().wait_when_full;
    ASSERT_TRUE(foreseen.has_value());
    const Refusal refusal = Arrive(arrival);
    EXPECT_EQ(refusal.let_in, 16 + 56) << "what runs, and one caller's share of the queue";
    const absl::Duration actual = TimeUntilLetIn(world_, refusal);
    told_truly = ComesTrue(refusal.delay, actual, step_);
    EXPECT_TRUE(told_truly || shape_.limit > 1) << refusal.delay << " told, actual " << actual;
    foreseen_truly = ComesTrue(*foreseen, actual, step_);
    world_.RunUntilIdle();
  }

  bool told_truly = false;
  bool foreseen_truly = false;

 private:
  std::shared_ptr<Reader> Submit() { return world_.Submit(shape_.Make(random_)); }

  // Until one is refused.
  Refusal Arrive(Arrival arrival) {
    if (arrival == Arrival::kBefore) return Flood(world_, shape_, random_);
    std::optional<Refusal> refusal;
    const auto flood = [&] {
      if (!refusal.has_value()) refusal = Flood(world_, shape_, random_);
    };
    GenerateRequest first = shape_.Make(random_);
    first.progress = true;
    const auto reader = world_.Submit(first);
    int64_t before = 1;
    if (arrival == Arrival::kWithin) {
      world_.before_batch = flood;
    } else {
      for (; before < 20; ++before) EXPECT_NE(Submit(), nullptr);
      reader->on_queued = flood;
    }
    world_.Advance(world_.now);
    world_.before_batch = nullptr;
    reader->on_queued = nullptr;
    refusal->let_in += before;
    return *refusal;
  }

  const Shape shape_;
  const absl::Duration step_;  // Of replies only.
  World world_;
  std::mt19937 random_{7};
};

TEST(VirtualTimeTest, WhatABurstIsToldComesTrueAndIsKnownBefore) {
  int64_t bursts = 0;
  int64_t told = 0;
  int64_t foreseen = 0;
  const std::vector<Machine> machines = {
      {absl::Milliseconds(100), absl::Milliseconds(5)},
#ifndef LNB_SANITIZED  // For which the code is several times as slow.
      {absl::Milliseconds(220), absl::Milliseconds(13)},  // 7 B weights on two cores.
      {absl::Milliseconds(1), absl::Microseconds(10)},
      {absl::Microseconds(300), absl::Microseconds(50)},  // A tiny model.
#endif
  };
  for (const Machine& machine : machines) {
    for (const Shape& shape : {Shape{20, 10}, Shape{20, 400}, Shape{300, 10}, Shape{300, 400},
                               Shape{2000, 100}, Shape{100, 32, 50}}) {
      for (const int64_t at_a_time : {16, 1}) {
        Burst burst(machine, shape);
        burst.Use(at_a_time);
        for (const auto arrival :
             {Burst::Arrival::kBefore, Burst::Arrival::kBetween, Burst::Arrival::kWithin}) {
          for (const absl::Duration idle : {absl::Seconds(1), absl::Hours(1)}) {
            burst.Come(arrival, idle);
            ++bursts;
            told += burst.told_truly;
            foreseen += burst.foreseen_truly;
          }
        }
      }
    }
  }
  // Where replies end by themselves, it is not known which of them do first; nor is it, before they
  // come, how long those are that come first.
  EXPECT_GE(told, bursts * 98 / 100) << bursts;
  EXPECT_GE(foreseen, bursts * 9 / 10) << bursts;
}

TEST(VirtualTimeTest, TokensOfAFastModelComeInAtMostAMessagePer20Milliseconds) {
  World world(ServerOptions(), absl::Milliseconds(3), absl::Microseconds(1));
  const auto reader = world.Submit(Request(1, 10, 500));
  world.RunUntilIdle();
  ASSERT_EQ(reader->ids.size(), 500u);
  EXPECT_LE(reader->first_token - reader->request.received, absl::Milliseconds(4)) << "at once";
  EXPECT_LE(reader->message_gaps.size(), 500u * 3 / 20 + 3);
  for (size_t i = 1; i + 1 < reader->message_gaps.size(); ++i) {
    EXPECT_GE(reader->message_gaps[i], absl::Milliseconds(20));
    EXPECT_LE(reader->message_gaps[i], absl::Milliseconds(24));
  }
}

TEST(VirtualTimeTest, ProgressIsReportedAtLeastEverySecondUntilTheFirstToken) {
  // The second one's steps take three seconds even where they hold replies only.
  for (const absl::Duration step : {absl::Milliseconds(100), absl::Seconds(3)}) {
    World world(ServerOptions(), step, absl::Milliseconds(5));
    std::vector<std::shared_ptr<Reader>> readers;
    // Some come between steps, some while one is computed.
    const auto submit = [&] {
      if (readers.size() == 40) return;
      GenerateRequest request = Request(static_cast<uint32_t>(readers.size()), 500, 20);
      request.progress = true;
      readers.push_back(world.Submit(request));
      ASSERT_NE(readers.back(), nullptr);
    };
    for (int i = 0; i < 20; ++i) submit();
    world.before_batch = submit;
    world.RunUntilIdle();
    ASSERT_EQ(readers.size(), 40u);
    for (const auto& reader : readers) {
      EXPECT_EQ(reader->ids, ExpectedReply(reader->request, 20));
      EXPECT_LE(reader->longest_silence, absl::Seconds(1));
    }
  }
}

TEST(VirtualTimeTest, APromptThatCannotBeComputedBeforeItsDeadlineIsRefusedAtOnce) {
  World world(ServerOptions(), absl::Milliseconds(100), absl::Milliseconds(5));
  const auto refusal = [&](const GenerateRequest& request, absl::Duration time) {
    GenerateRequest timed = request;
    timed.deadline = world.now + time;
    absl::Status refused;
    world.Submit(timed, &refused);
    return GetReason(refused);
  };
  const GenerateRequest prompt = Request(1, 1000, 5);
  EXPECT_EQ(refusal(prompt, absl::Milliseconds(1)), "") << "the speed is not known yet";
  world.RunUntilIdle();
  world.Submit(Request(2, 2000, 1));
  world.RunUntilIdle();
  // A prompt token takes 5 ms, and with its part of a step's 100 ms a little more.
  EXPECT_EQ(refusal(prompt, absl::Seconds(5)), "DEADLINE_UNREACHABLE");
  EXPECT_EQ(world.core->load().waiting, 0);
  EXPECT_EQ(refusal(prompt, absl::Seconds(10)), "");
  world.RunUntilIdle();
  EXPECT_EQ(refusal(prompt, absl::Seconds(1)), "") << "it is in the prefix cache now";
  world.RunUntilIdle();
}

TEST(VirtualTimeTest, StepsThatHoldLittleOfAPromptDoNotTellHowFastPromptsAre) {
  // Of 7 B weights on two cores: 4.5 steps a second, of one token as of fifty.
  World world(ServerOptions(), absl::Milliseconds(220), absl::Milliseconds(1));
  for (const size_t length : {1, 2}) {
    world.Submit(Request(1, length, 3));
    world.RunUntilIdle();
  }
  GenerateRequest prompt = Request(2, 1000, 1);
  prompt.deadline = world.now + absl::Seconds(20);  // It takes 5.
  absl::Status refused;
  const auto reader = world.Submit(prompt, &refused);
  ASSERT_NE(reader, nullptr) << refused;
  world.RunUntilIdle();
  EXPECT_EQ(reader->ids, ExpectedReply(prompt, 1));
}

TEST(VirtualTimeTest, RepliesThatTheirCallersEndTellHowLongRepliesAre) {
  // As those that the gateway ends at a stop sequence: at 10 tokens, of 1,000 that they might have.
  World world(ServerOptions(), absl::Milliseconds(100), absl::Milliseconds(5));
  std::vector<std::shared_ptr<Reader>> readers;
  uint32_t seed = 0;
  for (const absl::Time until = world.now + absl::Seconds(30); world.now < until;) {
    while (world.core->load().running + world.core->load().waiting < 40) {
      readers.push_back(world.Submit(Request(seed++, 20, 1000)));
      ASSERT_NE(readers.back(), nullptr);
    }
    world.Advance(until);
    for (const auto& reader : readers) reader->gone = reader->ids.size() >= 10;
  }
  absl::Status refused;
  std::shared_ptr<Reader> reader;
  while ((reader = world.Submit(Request(seed++, 20, 1000), &refused)) != nullptr) {
    readers.push_back(reader);
  }
  ASSERT_EQ(GetReason(refused), "QUEUE_FULL");
  // 16 run, at about 0.2 s a token.
  EXPECT_LT(RetryDelay(refused), absl::Seconds(5));
}

TEST(VirtualTimeTest, WaitsAreForeseenInTheOrderInWhichRequestsBegin) {
  World world(ServerOptions(), absl::Milliseconds(100), absl::Milliseconds(5));
  uint32_t seed = 0;
  absl::Status refused;
  const auto flood = [&](const std::string& caller, size_t prompt, int64_t reply) {
    GenerateRequest request;
    do {
      request = Request(seed++, prompt, reply);
      request.caller = caller;
    } while (world.Submit(request, &refused) != nullptr);
    return request;
  };
  flood("first", 20, 100);
  world.RunUntilIdle();
  for (int64_t i = 0; i < 16; ++i) {
    ASSERT_NE(world.Submit(Request(seed++, 20, 30 + 10 * i)), nullptr);
  }
  for (int step = 0; step < 20; ++step) world.Advance(world.now);
  flood("many", 4000, 60);
  flood("few", 20, 3);
  for (int step = 0; step < 3; ++step) world.Advance(world.now);
  // The short ones of the second caller take turns with the long ones of the first.
  const GenerateRequest request = flood("many", 4000, 60);
  ASSERT_EQ(GetReason(refused), "QUEUE_FULL");
  const Refusal refusal = {request, world.now, RetryDelay(refused)};
  const absl::Duration actual = TimeUntilLetIn(world, refusal);
  EXPECT_LT(refusal.delay, 1.25 * actual);
  EXPECT_GT(refusal.delay, actual / 1.25);
}

TEST(VirtualTimeTest, WhatThePrefixCacheHasOfAPromptThatWaitsDoesNotCountAsWaiting) {
  EngineCoreOptions options = ServerOptions();
  World world(options, absl::Milliseconds(100), absl::Milliseconds(5));
  const GenerateRequest beginning = Request(1, 3200, 1);
  world.Submit(beginning);
  world.RunUntilIdle();
  std::vector<std::shared_ptr<Reader>> readers;
  for (uint32_t i = 0; i < 16 + 40; ++i) {
    GenerateRequest request = beginning;
    const GenerateRequest own = Request(2 + i, 20, 30);
    request.prompt.insert(request.prompt.end(), own.prompt.begin(), own.prompt.end());
    request.stopping = own.stopping;
    readers.push_back(world.Submit(request));
    ASSERT_NE(readers.back(), nullptr) << i;
  }
  for (int step = 0; step < 3; ++step) {
    EXPECT_LE(world.core->load().waiting_prefill_tokens, 56 * (20 + kKvBlockTokens));
    world.Advance(world.now);
  }
}

TEST(VirtualTimeTest, AReplyThatEndsBeforeItsFirstTokenReportsThePromptAllTheSame) {
  World world(ServerOptions(), absl::Milliseconds(100), absl::Milliseconds(5));
  for (const bool candidates : {false, true}) {
    GenerateRequest request = Request(candidates ? 1 : 2, 3000, 5);
    request.prompt_tokens = true;
    if (candidates) request.top_candidates = 2;
    request.stopping.time_limit = absl::Seconds(3);
    const auto reader = world.Submit(request);
    world.RunUntilIdle();
    ASSERT_TRUE(reader->finished.has_value());
    EXPECT_EQ(reader->finished->reason, FinishReason::kTimeLimit);
    EXPECT_TRUE(reader->ids.empty());
    // With candidates, as far as the prompt was computed.
    if (candidates) {
      EXPECT_GT(reader->prompt.size(), 10u);
    } else {
      EXPECT_EQ(reader->prompt.size(), 3000u);
    }
    for (size_t i = 0; i < reader->prompt.size(); ++i) {
      ASSERT_EQ(reader->prompt[i].id, request.prompt[i]);
    }
  }
}

TEST(VirtualTimeTest, APromptThatAnotherOneComputesMeanwhileCountsAsCached) {
  World world(ServerOptions(), absl::Milliseconds(100), absl::Milliseconds(5));
  const GenerateRequest request = Request(1, 2000, 5);
  const auto first = world.Submit(request);
  const auto second = world.Submit(request);
  world.RunUntilIdle();
  const int64_t cached = second->finished->cached_prompt_tokens;
  EXPECT_EQ(first->finished->cached_prompt_tokens + cached + world.model.tokens(),
            2 * (2000 + 5 - 1));
  EXPECT_GT(first->finished->cached_prompt_tokens + cached, 1000);
}

}  // namespace
}  // namespace llama
