// What the engine counts of its work, over a stand-in for the model and a clock that only the
// stand-in moves: exact numbers.
#include <memory>
#include <span>
#include <vector>

#include "gtest/gtest.h"
#include "services/model/engine/engine_core.h"

namespace llama {
namespace {

constexpr absl::Duration kStep = absl::Milliseconds(10);

class Reader : public EventSink {
 public:
  void Write(Event) override {}
  void Finish(const absl::Status&) override { over = true; }
  bool writable() const override { return true; }
  bool cancelled() const override { return gone; }

  bool over = false;
  bool gone = false;
};

// What the engine was told of its steps, summed up.
struct Told {
  int64_t steps = 0;
  int64_t tokens = 0;
  int64_t sequences = 0;
  StepWaits waits;

  void Add(const StepRecord& step, const StepWaits& more) {
    ++steps;
    tokens += step.prefill_tokens + step.decode_tokens;
    sequences += step.sequences;
    const auto append = [](const auto& from, auto& to) {
      to.insert(to.end(), from.begin(), from.end());
    };
    append(more.queue, waits.queue);
    append(more.first_tokens, waits.first_tokens);
    append(more.gaps, waits.gaps);
  }
};

class EngineTotalsTest : public testing::Test {
 protected:
  std::shared_ptr<Reader> Generate(int64_t prompt_tokens, int64_t reply_tokens,
                                   absl::Time deadline = absl::InfiniteFuture(),
                                   int64_t first = 0) {
    GenerateRequest request;
    for (int64_t i = 0; i < prompt_tokens; ++i) {
      request.prompt.push_back(static_cast<TokenId>((first + i) % kVocabulary));
    }
    request.stopping.max_tokens = reply_tokens;
    request.received = now_;
    request.deadline = deadline;
    auto reader = std::make_shared<Reader>();
    EXPECT_TRUE(core_.Submit(std::move(request), reader).ok());
    return reader;
  }
  EngineTotals totals() const { return core_.load().totals; }

  static constexpr int64_t kVocabulary = 8;
  absl::Time now_ = absl::FromUnixSeconds(1'000'000);
  Told told_;
  EngineCore core_{
      {.model = {.vocab_size = kVocabulary, .context_length = 256},
       .engine = {.on_step = [this](const StepRecord& step,
                                    const StepWaits& waits) { told_.Add(step, waits); }},
       .max_batch_tokens = 64,
       .kv_blocks = 16,
       .kv_block_bytes = 1},
      [this](std::span<const BatchToken>, std::span<float> logits) {
        std::fill(logits.begin(), logits.end(), 0.0F);
        now_ += kStep;
      },
      [this] { return now_; }};
};

TEST_F(EngineTotalsTest, EveryTokenIsCountedOnce) {
  const auto reader = Generate(40, 5);
  while (core_.Step()) {
  }
  ASSERT_TRUE(reader->over);
  EXPECT_EQ(totals().prompt_tokens, 40);
  EXPECT_EQ(totals().cached_prompt_tokens, 0);
  EXPECT_EQ(totals().prefill_tokens, 40);
  EXPECT_EQ(totals().reply_tokens, 5);
  EXPECT_EQ(totals().decode_tokens, 4);  // The last one is not computed on.
  EXPECT_EQ(told_.tokens, 44);
  EXPECT_EQ(told_.steps, 5);
  EXPECT_EQ(told_.sequences, 5);
}

TEST_F(EngineTotalsTest, PromptTokensFoundInTheCacheAreNotComputedAgain) {
  for (int i = 0; i < 2; ++i) {
    Generate(40, 1);
    while (core_.Step()) {
    }
  }
  EXPECT_EQ(totals().prompt_tokens, 80);
  EXPECT_EQ(totals().cached_prompt_tokens, 2 * kKvBlockTokens);
  EXPECT_EQ(totals().prefill_tokens, 80 - 2 * kKvBlockTokens);
}

TEST_F(EngineTotalsTest, WaitsAreThoseThatTheClockShows) {
  Generate(8, 3);
  now_ += absl::Milliseconds(100);
  while (core_.Step()) {
  }
  EXPECT_EQ(told_.waits.queue, std::vector<absl::Duration>({absl::Milliseconds(100)}));
  EXPECT_EQ(told_.waits.first_tokens, std::vector<absl::Duration>({absl::Milliseconds(110)}));
  EXPECT_EQ(told_.waits.gaps, std::vector<absl::Duration>({kStep, kStep}));
}

TEST_F(EngineTotalsTest, BatchesAreCountedWithAllTheirRequests) {
  Generate(8, 4);
  Generate(8, 4);
  while (core_.Step()) {
  }
  EXPECT_EQ(told_.sequences, 2 * told_.steps);
  EXPECT_EQ(told_.waits.gaps.size(), 6U);
}

TEST_F(EngineTotalsTest, ThoseDroppedAreCountedByCause) {
  const auto cancelled = Generate(8, 200);
  const auto expired = Generate(8, 200, now_ + absl::Milliseconds(35));
  core_.Step();
  cancelled->gone = true;
  core_.Step();
  EXPECT_EQ(totals().cancelled, 1);
  EXPECT_EQ(totals().expired, 0);
  while (core_.Step()) {
  }
  EXPECT_TRUE(expired->over);
  EXPECT_EQ(totals().cancelled, 1);
  EXPECT_EQ(totals().expired, 1);
  EXPECT_EQ(totals().preemptions, 0);
}

TEST_F(EngineTotalsTest, PreemptedRequestsAreComputedAgainAndCounted) {
  // Together they need 20 of 16 blocks.
  const auto a = Generate(100, 60);
  const auto b = Generate(100, 60, absl::InfiniteFuture(), 1);
  while (core_.Step()) {
  }
  EXPECT_TRUE(a->over && b->over);
  EXPECT_GE(totals().preemptions, 1);
  EXPECT_EQ(totals().reply_tokens, 120);
  EXPECT_EQ(totals().prompt_tokens, 200);
  EXPECT_EQ(told_.tokens, totals().prefill_tokens + totals().decode_tokens);
}

}  // namespace
}  // namespace llama
