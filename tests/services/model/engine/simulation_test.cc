// The engine in virtual time: days of random arrivals, cancels, deadlines and slow readers over a
// stand-in for the forward pass, with what it promises checked after every step.
#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "common/proto_duration.h"
#include "common/status_details.h"
#include "gtest/gtest.h"
#include "services/model/engine/engine_core.h"

namespace llama {
namespace {

constexpr int64_t kVocabulary = 32;
#ifdef LNB_SANITIZED  // For which the code is several times as slow.
constexpr int kTrials = 3;
#else
constexpr int kTrials = 12;
#endif

uint64_t Mix(uint64_t a, uint64_t b) {
  uint64_t x = a * 0x9E3779B97F4A7C15 + b + 0x632BE59BD9B4E019;
  x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9;
  return x ^ x >> 27;
}

// Stands in for the model: what it writes to the cache at a position depends on what it reads there
// for the position before, so that its logits depend on every token of the sequence, and are wrong
// if any block is not its sequence's own or was given away too early.
class StandIn {
 public:
  StandIn(int64_t blocks, absl::Time* now, absl::Duration step, absl::Duration token)
      : cache_(static_cast<size_t>(blocks * kKvBlockTokens)),
        now_(*now),
        step_(step),
        token_(token) {}

  void Forward(std::span<const BatchToken> batch, std::span<float> logits) {
    size_t row = 0;
    for (const BatchToken& token : batch) {
      const uint64_t before = token.position == 0 ? 1 : At(token.blocks, token.position - 1);
      const uint64_t state = Mix(before, token.token);
      At(token.blocks, token.position) = state;
      if (!token.wants_logits) continue;
      FillLogits(state, logits.subspan(row++ * kVocabulary, kVocabulary));
    }
    ++steps_;
    tokens_ += static_cast<int64_t>(batch.size());
    now_ += step_ + token_ * static_cast<int64_t>(batch.size());
  }
  static void FillLogits(uint64_t state, std::span<float> logits) {
    for (size_t i = 0; i < logits.size(); ++i) {
      logits[i] = static_cast<float>(Mix(state, i) >> 50) / 4096.0F;
    }
  }
  int64_t steps() const { return steps_; }
  int64_t tokens() const { return tokens_; }

 private:
  uint64_t& At(std::span<const KvBlock> blocks, uint32_t position) {
    constexpr uint32_t kTokens = static_cast<uint32_t>(kKvBlockTokens);
    return cache_.at(blocks[position / kTokens] * kTokens + position % kTokens);
  }

  std::vector<uint64_t> cache_;
  absl::Time& now_;
  const absl::Duration step_;
  const absl::Duration token_;
  int64_t steps_ = 0;
  int64_t tokens_ = 0;
};

// What the reply to a request is, from the definition: no engine, no cache.
std::vector<TokenId> ExpectedReply(const GenerateRequest& request, int64_t max_tokens) {
  std::vector<TokenId> tokens = request.prompt;
  uint64_t state = 1;
  for (const TokenId token : tokens) state = Mix(state, token);
  std::vector<TokenId> reply;
  Sampler sampler;
  std::vector<float> logits(kVocabulary);
  while (static_cast<int64_t>(reply.size()) < max_tokens) {
    StandIn::FillLogits(state, logits);
    const TokenId id = sampler.Draw(logits, request.sampling,
                                    {.tokens = tokens, .seed = request.sampling.seed.value_or(0)});
    if (std::ranges::count(request.stopping.eos_token_ids, id) > 0) break;
    reply.push_back(id);
    tokens.push_back(id);
    state = Mix(state, id);
  }
  return reply;
}

// A caller with a reader that now and then falls behind.
class Reader : public EventSink {
 public:
  Reader(GenerateRequest made, const absl::Time* now) : request(std::move(made)), now_(*now) {}

  void Write(Event event) override {
    ASSERT_FALSE(status.has_value()) << "written to after its end";
    ASSERT_FALSE(finished.has_value());
    last_event = now_;
    if (const auto* accepted = std::get_if<AcceptedEvent>(&event)) {
      ASSERT_EQ(max_tokens, 0);
      max_tokens = accepted->max_tokens;
    } else if (const auto* tokens = std::get_if<TokensEvent>(&event)) {
      ASSERT_FALSE(tokens->tokens.empty());
      if (ids.empty()) first_token = now_;
      message_gaps.push_back(now_ - last_message);
      last_message = now_;
      for (const TokenReport& token : tokens->tokens) ids.push_back(token.id);
    } else if (const auto* end = std::get_if<FinishedEvent>(&event)) {
      finished = *end;
    } else if (std::holds_alternative<QueuedEvent>(event) ||
               std::holds_alternative<PrefillEvent>(event)) {
      ASSERT_TRUE(request.progress);
      ASSERT_TRUE(ids.empty());
    }
  }
  void Finish(const absl::Status& end) override {
    ASSERT_FALSE(status.has_value()) << "ended twice";
    status = end;
    ended = now_;
  }
  bool writable() const override { return !slow; }
  bool cancelled() const override { return gone; }

  const GenerateRequest request;
  int64_t max_tokens = 0;
  std::vector<TokenId> ids;
  std::optional<FinishedEvent> finished;
  std::optional<absl::Status> status;
  absl::Time first_token = absl::InfiniteFuture();
  absl::Time ended;
  absl::Time last_event = absl::InfinitePast();
  absl::Time last_message = absl::InfinitePast();
  std::vector<absl::Duration> message_gaps;
  bool slow = false;
  bool gone = false;
  absl::Time gone_at = absl::InfiniteFuture();

 private:
  const absl::Time& now_;
};

struct World {
  World(EngineCoreOptions made, absl::Duration step, absl::Duration token)
      : options(std::move(made)), model(options.kv_blocks, &now, step, token) {
    core.emplace(
        options,
        [this](std::span<const BatchToken> batch, std::span<float> logits) {
          if (before_batch) before_batch();
          EXPECT_LE(static_cast<int64_t>(batch.size()), options.max_batch_tokens);
          model.Forward(batch, logits);
        },
        [this] { return now; });
  }

  std::shared_ptr<Reader> Submit(GenerateRequest request, absl::Status* refused = nullptr) {
    request.received = now;
    auto reader = std::make_shared<Reader>(request, &now);
    const absl::Status status = core->Submit(std::move(request), reader);
    if (refused != nullptr) *refused = status;
    return status.ok() ? reader : nullptr;
  }
  // Steps, or lets the time pass until something happens, at most until `until`.
  void Advance(absl::Time until) {
    if (!core->Step()) now = std::max(now, std::min(core->next_event(), until));
  }
  void RunUntilIdle() {
    while (core->load().running + core->load().waiting > 0) {
      Advance(now + absl::Seconds(1));
    }
  }

  const EngineCoreOptions options;
  absl::Time now = absl::FromUnixSeconds(1'700'000'000);
  StandIn model;
  std::function<void()> before_batch;  // As from another thread, while a batch is computed.
  std::optional<EngineCore> core;
};

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

TEST(SimulationTest, TheEngineKeepsItsPromisesForDays) {
  std::mt19937 random(17);
  int64_t ends = 0, refusals = 0, cancels = 0, expired = 0, limited = 0, hits = 0;
  for (int trial = 0; trial < kTrials; ++trial) {
    const int64_t max_running = 1 + static_cast<int64_t>(random() % 8);
    World world({.model = {.vocab_size = kVocabulary, .context_length = 640},
                 .engine = {.max_running = max_running,
                            .max_waiting = 4 + static_cast<int64_t>(random() % 20),
                            .max_waiting_prefill_tokens = 1500},
                 .max_batch_tokens = 16 + static_cast<int64_t>(random() % 64),
                 .max_batch_logits = 16,
                 .kv_blocks = 40 + static_cast<int64_t>(random() % 60),
                 .kv_block_bytes = 100},
                absl::Milliseconds(20), absl::Microseconds(200 + 100 * (random() % 20)));
    std::vector<std::shared_ptr<Reader>> alive;
    const uint32_t pressure = 2 + random() % 12;  // The higher, the fewer arrivals.
    for (int step = 0; step < 12'000; ++step) {
      for (int i = 0; i < 3 && random() % pressure == 0; ++i) {
        const EngineLoad before = world.core->load();
        absl::Status refused;
        if (auto reader = world.Submit(RandomRequest(random, world.now), &refused)) {
          ASSERT_GT(reader->max_tokens, 0) << "Accepted is written at once";
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
      }
      const absl::Time begin = world.now;
      const int64_t steps = world.model.steps();
      world.Advance(world.now + absl::Milliseconds(50));

      const EngineLoad load = world.core->load();
      const int64_t total = world.options.kv_blocks * world.options.kv_block_bytes;
      ASSERT_LE(load.kv_cache_bytes_used + load.kv_cache_bytes_cached, total);
      ASSERT_LE(load.running, max_running);
      for (size_t i = alive.size(); i-- > 0;) {
        Reader& reader = *alive[i];
        if (!reader.status.has_value()) {
          ASSERT_FALSE(reader.gone) << "dropped within a step";
          ASSERT_GT(reader.request.deadline, begin);
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

// Options like a server's, over a machine on which memory bandwidth is the limit of decoding.
EngineCoreOptions ServerOptions() {
  return {.model = {.vocab_size = kVocabulary, .context_length = 8192},
          .engine = {.max_running = 16, .max_waiting = 64},
          .max_batch_tokens = 512,
          .max_batch_logits = 64,
          .kv_blocks = 4000,
          .kv_block_bytes = 100};
}

GenerateRequest Request(uint32_t seed, size_t prompt, int64_t max_tokens) {
  std::mt19937 random(seed);
  GenerateRequest request;
  for (size_t i = 0; i < prompt; ++i) {
    request.prompt.push_back(static_cast<TokenId>(random() % kVocabulary));
  }
  request.sampling = {.temperature = 1, .seed = seed};
  request.stopping.max_tokens = max_tokens;
  return request;
}

TEST(SimulationTest, ALongPromptDoesNotStallRepliesUnderWay) {
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

TEST(SimulationTest, AChatOfTenTurnsComputesOnlyEachNewTurn) {
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

TEST(SimulationTest, TheSamePromptAgainComputesItsLastBlockOnly) {
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

TEST(SimulationTest, AShortPromptAfterAFloodFromAnotherCallerGoesFirst) {
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

TEST(SimulationTest, ReadersThatStandStillKeepNobodyOut) {
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
TEST(SimulationTest, RetryDelaysComeTrueWithinAFactorOfTwo) {
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
        const GenerateRequest request = Request(i, length, reply / 2 + 1 + random() % reply);
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

TEST(SimulationTest, TokensOfAFastModelComeInAtMostAMessagePer20Milliseconds) {
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

TEST(SimulationTest, ProgressIsReportedAtLeastEverySecondUntilTheFirstToken) {
  World world(ServerOptions(), absl::Milliseconds(100), absl::Milliseconds(5));
  std::vector<std::shared_ptr<Reader>> readers;
  for (uint32_t i = 0; i < 40; ++i) {
    GenerateRequest request = Request(i, 500, 20);
    request.progress = true;
    readers.push_back(world.Submit(request));
  }
  while (world.core->load().running + world.core->load().waiting > 0) {
    for (const auto& reader : readers) {
      if (reader->status.has_value() || !reader->ids.empty()) continue;
      EXPECT_LE(world.now - reader->last_event, absl::Seconds(1));
    }
    world.Advance(world.now);
  }
}

}  // namespace
}  // namespace llama
