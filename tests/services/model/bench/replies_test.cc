#include "services/model/bench/replies.h"

#include <memory>
#include <span>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/model/kernels/kernels.h"

namespace llama {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kContext = 64;
constexpr int64_t kStreams = 40;

struct ModelUnderTest {
  std::unique_ptr<Checkpoint> checkpoint =
      Checkpoint::Load(LLAMA_TEST_DATA "/stories260K", {}).value();
  uint32_t vocab_size = static_cast<uint32_t>(checkpoint->config().vocab_size);
  ThreadTeam team{2};
  Transformer transformer{checkpoint->config(),
                          checkpoint->weights(),
                          *SupportedKernels().back(),
                          team,
                          {.context_length = kContext, .max_batch_logits = kStreams}};
  std::unique_ptr<KvCache> cache =
      KvCache::Create(checkpoint->config(), DataType::kBf16, kStreams* ReplyBlocks(kContext))
          .value();
  Engine engine{checkpoint->config(), transformer, *cache, ReplyEngineOptions(kStreams)};
};

// The engine counts at the end of a step, after it has told of the ends of replies.
EngineTotals TotalsAtRest(const Engine& engine) {
  while (engine.load().running > 0) absl::SleepFor(absl::Milliseconds(1));
  return engine.load().totals;
}

TEST(GenerateRepliesTest, TokensAndPromptsAreThoseOfThePlan) {
  ModelUnderTest model;
  const absl::Status status =
      GenerateReplies(model.engine, model.vocab_size, {.streams = kStreams, .tokens = 40});
  ASSERT_TRUE(status.ok()) << status;
  const EngineTotals totals = TotalsAtRest(model.engine);
  EXPECT_EQ(totals.reply_tokens, kStreams * 40);
  EXPECT_EQ(totals.prompt_tokens, kStreams * kReplyPromptTokens);
}

TEST(GenerateRepliesTest, AnotherSeedFindsNothingInThePrefixCache) {
  ModelUnderTest model;
  for (const uint64_t seed : {1, 2}) {
    const absl::Status status = GenerateReplies(model.engine, model.vocab_size,
                                                {.streams = kStreams, .tokens = 40, .seed = seed});
    ASSERT_TRUE(status.ok()) << status;
  }
  EXPECT_EQ(TotalsAtRest(model.engine).cached_prompt_tokens, 0);
}

class NoSink final : public EventSink {
 public:
  void Write(Event) override {}
  void Finish(const absl::Status&) override {}
  bool writable() const override { return true; }
  bool cancelled() const override { return false; }
};

TEST(ReplyEngineOptionsTest, OneCallersRepliesFitTheQueueBesideThoseThatRun) {
  EngineCore core(
      {.model = {.vocab_size = 512, .context_length = kContext},
       .engine = ReplyEngineOptions(kStreams),
       .kv_blocks = kStreams * ReplyBlocks(kContext),
       .kv_block_bytes = 1},
      [](std::span<const BatchToken>, std::span<float>) {}, absl::Now);
  for (int64_t i = 0; i < 2 * kStreams; ++i) {
    GenerateRequest request;
    request.prompt.assign(kReplyPromptTokens, TokenId{1});
    const absl::Status status = core.Submit(std::move(request), std::make_shared<NoSink>());
    ASSERT_TRUE(status.ok()) << i << ": " << status;
  }
}

TEST(GenerateRepliesTest, TellsWhatTheEngineRefuses) {
  ModelUnderTest model;
  const absl::Status status =
      GenerateReplies(model.engine, 1U << 31, {.streams = kStreams, .tokens = 4});
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("prompt"));
}

}  // namespace
}  // namespace llama
