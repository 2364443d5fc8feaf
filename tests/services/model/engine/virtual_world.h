#ifndef LLAMA_TESTS_SERVICES_MODEL_ENGINE_VIRTUAL_WORLD_H_
#define LLAMA_TESTS_SERVICES_MODEL_ENGINE_VIRTUAL_WORLD_H_

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <utility>
#include <variant>
#include <vector>

#include "absl/functional/function_ref.h"
#include "gtest/gtest.h"
#include "services/model/engine/engine_core.h"

// The engine in virtual time: callers and readers over a stand-in for the model, whose forward
// pass makes the clock go.
namespace llama {

inline constexpr int64_t kVocabulary = 32;

inline uint64_t Mix(uint64_t a, uint64_t b) {
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

  void Forward(std::span<const BatchToken> batch, std::span<float> logits,
               absl::FunctionRef<void()> after_layer) {
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
    const absl::Duration time = step_ + token_ * static_cast<int64_t>(batch.size());
    for (int layer = 0; layer < kLayers; ++layer) {
      now_ += time / kLayers;
      after_layer();
    }
  }
  static void FillLogits(uint64_t state, std::span<float> logits) {
    for (size_t i = 0; i < logits.size(); ++i) {
      logits[i] = static_cast<float>(Mix(state, i) >> 50) / 4096.0F;
    }
  }
  int64_t steps() const { return steps_; }
  int64_t tokens() const { return tokens_; }

 private:
  static constexpr int kLayers = 16;

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
inline std::vector<TokenId> ExpectedReply(const GenerateRequest& request, int64_t max_tokens) {
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
  Reader(GenerateRequest made, const absl::Time* now)
      : request(std::move(made)), last_event(*now), now_(*now) {}

  void Write(Event event) override {
    ASSERT_FALSE(status.has_value()) << "written to after its end";
    ASSERT_FALSE(finished.has_value());
    if (ids.empty()) longest_silence = std::max(longest_silence, now_ - last_event);
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
    } else if (const auto* part = std::get_if<PromptEvent>(&event)) {
      ASSERT_TRUE(request.prompt_tokens);
      ASSERT_TRUE(ids.empty());
      prompt.insert(prompt.end(), part->tokens.begin(), part->tokens.end());
    } else if (const auto* end = std::get_if<FinishedEvent>(&event)) {
      finished = *end;
    } else if (std::holds_alternative<QueuedEvent>(event) ||
               std::holds_alternative<PrefillEvent>(event)) {
      ASSERT_TRUE(request.progress);
      ASSERT_TRUE(ids.empty());
      if (on_queued && std::holds_alternative<QueuedEvent>(event)) on_queued();
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
  std::vector<TokenReport> prompt;
  std::vector<TokenId> ids;
  std::optional<FinishedEvent> finished;
  std::optional<absl::Status> status;
  absl::Time first_token = absl::InfiniteFuture();
  absl::Time ended;
  absl::Time last_event;
  absl::Duration longest_silence;  // Until the first token.
  absl::Time last_message = absl::InfinitePast();
  std::vector<absl::Duration> message_gaps;
  std::function<void()> on_queued;  // Told that it waits.
  bool slow = false;
  bool ever_slow = false;
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
          model.Forward(batch, logits, [this] { core->ReportWithinStep(); });
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

// Options like a server's, over a machine on which memory bandwidth is the limit of decoding.
inline EngineCoreOptions ServerOptions() {
  return {.model = {.vocab_size = kVocabulary, .context_length = 8192},
          .engine = {.max_running = 16, .max_waiting = 64},
          .max_batch_tokens = 512,
          .max_batch_logits = 64,
          .kv_blocks = 4000,
          .kv_block_bytes = 100};
}

inline GenerateRequest Request(uint32_t seed, size_t prompt, int64_t max_tokens) {
  std::mt19937 random(seed);
  GenerateRequest request;
  for (size_t i = 0; i < prompt; ++i) {
    request.prompt.push_back(static_cast<TokenId>(random() % kVocabulary));
  }
  request.sampling = {.temperature = 1, .seed = seed};
  request.stopping.max_tokens = max_tokens;
  return request;
}

}  // namespace llama

#endif  // LLAMA_TESTS_SERVICES_MODEL_ENGINE_VIRTUAL_WORLD_H_
