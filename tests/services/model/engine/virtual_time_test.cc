// What single callers see of the engine, and when, in virtual time.
#include <algorithm>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

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

// The first time at which a refused request would have been let in, if it had come then.
TEST(VirtualTimeTest, RetryDelaysComeTrueWithinAFactorOfTwo) {
  for (const int64_t prompt : {20, 300, 2000}) {
    for (const int64_t reply : {10, 100, 400}) {
      World world(ServerOptions(), absl::Milliseconds(100), absl::Milliseconds(5));
      std::mt19937 random(7);
      absl::Status refused;
      int64_t checks = 0;
      for (uint32_t i = 0; checks < 12; ++i) {
        ASSERT_LT(i, 20'000u);
        const auto length =
            static_cast<size_t>(prompt / 2 + static_cast<int64_t>(random()) % prompt);
        const GenerateRequest request =
            Request(i, length, reply / 2 + 1 + static_cast<int64_t>(random()) % reply);
        if (world.Submit(request, &refused) != nullptr) {
          if (random() % 4 == 0) world.Advance(world.now);
          continue;
        }
        ASSERT_EQ(GetReason(refused), "QUEUE_FULL");
        const absl::Duration delay =
            FromProto(GetDetail<google::rpc::RetryInfo>(refused)->retry_delay());
        const absl::Time asked = world.now;
        std::optional<absl::Duration> actual;
        world.before_batch = [&] {
          if (!actual.has_value() && world.Submit(request) != nullptr) actual = world.now - asked;
        };
        while (!actual.has_value()) world.Advance(world.now);
        world.before_batch = nullptr;
        // Between steps nothing changes: one of replies only is the finest that can be told.
        const absl::Duration step = absl::Milliseconds(200);
        EXPECT_LE(*actual, 2 * delay + step) << prompt << " " << reply << " " << delay;
        EXPECT_GE(*actual + step, delay / 2) << prompt << " " << reply << " " << delay;
        ++checks;
        for (uint32_t steps = random() % 40; steps > 0; --steps) world.Advance(world.now);
      }
    }
  }
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
