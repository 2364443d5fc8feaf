// The engine over the small trained model: what comes out must not depend on anything but the
// request.
#include "services/model/engine/engine.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "common/mutex.h"
#include "common/status_details.h"
#include "gtest/gtest.h"
#include "services/model/kernels/kernels.h"

namespace llama {
namespace {

// Keeps what a request is told.
class Recorder : public EventSink {
 public:
  void Write(Event event) override {
    MutexLock lock(&mutex_);
    if (const auto* tokens = std::get_if<TokensEvent>(&event)) {
      tokens_.insert(tokens_.end(), tokens->tokens.begin(), tokens->tokens.end());
    }
    events_.push_back(std::move(event));
  }
  void Finish(const absl::Status& status) override {
    MutexLock lock(&mutex_);
    EXPECT_FALSE(status_.has_value()) << "finished twice";
    status_ = status;
  }
  bool writable() const override {
    MutexLock lock(&mutex_);
    return writable_;
  }
  bool cancelled() const override {
    MutexLock lock(&mutex_);
    return cancelled_ || polls_left_-- == 0;
  }

  absl::Status Wait() {
    MutexLock lock(&mutex_,
                   [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return status_.has_value(); });
    return *status_;
  }
  void WaitForTokens(size_t count) {
    MutexLock lock(&mutex_, [this, count]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return tokens_.size() >= count || status_.has_value();
    });
  }
  void SetWritable(bool writable) {
    MutexLock lock(&mutex_);
    writable_ = writable;
  }
  void Cancel() {
    MutexLock lock(&mutex_);
    cancelled_ = true;
  }
  // The engine finds it cancelled when it looks for the last time of `polls` + 1.
  void CancelAfter(int64_t polls) {
    MutexLock lock(&mutex_);
    polls_left_ = polls;
  }
  std::vector<TokenReport> tokens() const {
    MutexLock lock(&mutex_);
    return tokens_;
  }
  std::vector<TokenId> ids() const {
    std::vector<TokenId> result;
    for (const TokenReport& token : tokens()) result.push_back(token.id);
    return result;
  }
  std::vector<float> logprobs() const {
    std::vector<float> result;
    for (const TokenReport& token : tokens()) result.push_back(token.logprob.value());
    return result;
  }
  std::vector<Event> events() const {
    MutexLock lock(&mutex_);
    return events_;
  }

 private:
  mutable Mutex mutex_;
  std::vector<Event> events_ ABSL_GUARDED_BY(mutex_);
  std::vector<TokenReport> tokens_ ABSL_GUARDED_BY(mutex_);
  std::optional<absl::Status> status_ ABSL_GUARDED_BY(mutex_);
  bool writable_ ABSL_GUARDED_BY(mutex_) = true;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  mutable int64_t polls_left_ ABSL_GUARDED_BY(mutex_) = -1;  // Negative: never.
};

struct ModelSetup {
  const Kernels* kernels = SupportedKernels().back();
  DataType activations = DataType::kBf16;
  size_t threads = 2;
  int64_t max_batch_tokens = 64;
  int64_t blocks = 256;
  EngineOptions engine = {.max_running = 16};
  std::optional<TokenId> poisoned = {};  // A token whose embedding is not a number.
};

ModelWeights Poison(ModelWeights weights, std::optional<TokenId> id, std::vector<Bf16>& storage) {
  if (!id.has_value()) return weights;
  Matrix& embeddings = weights.tok_embeddings;
  storage.assign(embeddings.bf16(), embeddings.bf16() + embeddings.rows * embeddings.cols);
  for (size_t i = 0; i < embeddings.cols; ++i) storage[*id * embeddings.cols + i] = ToBf16(NAN);
  embeddings.data = storage.data();
  return weights;
}

struct Model {
  explicit Model(const ModelSetup& setup = {})
      : checkpoint(Checkpoint::Load(std::string(LLAMA_TEST_DATA) + "/stories260K",
                                    {.weights = setup.activations})
                       .value()),
        weights(Poison(checkpoint->weights(), setup.poisoned, embeddings)),
        team(setup.threads),
        transformer(checkpoint->config(), weights, *setup.kernels, team,
                    {.activations = setup.activations,
                     .context_length = 512,
                     .max_batch_tokens = setup.max_batch_tokens,
                     .max_batch_logits = 16}),
        cache(KvCache::Create(checkpoint->config(), setup.activations, setup.blocks).value()),
        engine(checkpoint->config(), transformer, *cache, setup.engine) {}

  std::shared_ptr<Recorder> Submit(GenerateRequest request, int64_t polls = -1) {
    auto recorder = std::make_shared<Recorder>();
    recorder->CancelAfter(polls);
    const absl::Status status = engine.Submit(std::move(request), recorder);
    if (!status.ok()) recorder->Finish(status);
    return recorder;
  }
  std::shared_ptr<Recorder> Run(const GenerateRequest& request) {
    auto recorder = Submit(request);
    EXPECT_EQ(recorder->Wait(), absl::OkStatus());
    return recorder;
  }
  void WaitUntilIdle() {
    while (engine.load().running + engine.load().waiting > 0) {
      absl::SleepFor(absl::Milliseconds(1));
    }
  }

  std::unique_ptr<Checkpoint> checkpoint;
  std::vector<Bf16> embeddings;
  ModelWeights weights;
  ThreadTeam team;
  Transformer transformer;
  std::unique_ptr<KvCache> cache;
  Engine engine;
};

std::vector<TokenId> Prompt(size_t length, uint32_t seed) {
  std::vector<TokenId> prompt = {1};
  while (prompt.size() < length) {
    seed = seed * 1664525 + 1013904223;
    prompt.push_back(3 + (seed >> 8) % 500);
  }
  return prompt;
}

// A request whose reply is long, random and reported in full.
GenerateRequest Request(uint32_t seed, size_t prompt = 40, int64_t max_tokens = 30) {
  return {.prompt = Prompt(prompt, seed),
          .sampling = {.temperature = 1, .seed = seed},
          .stopping = {.max_tokens = max_tokens},
          .top_candidates = 2};
}

// Of the prompt, where it is reported, and of the reply.
std::vector<float> ReportedLogprobs(const Recorder& recorder) {
  std::vector<float> logprobs;
  for (const Event& event : recorder.events()) {
    const auto* const prompt = std::get_if<PromptEvent>(&event);
    if (prompt == nullptr) continue;
    for (const TokenReport& token : prompt->tokens) logprobs.push_back(token.logprob.value_or(0));
  }
  for (const float logprob : recorder.logprobs()) logprobs.push_back(logprob);
  return logprobs;
}

TEST(EngineTest, AReplyDoesNotDependOnWhatElseRuns) {
  std::vector<GenerateRequest> requests;
  for (uint32_t i = 2; i < 5; ++i) requests.push_back(Request(i, size_t{20} * i));
  requests.push_back(Request(1));
  for (uint32_t i = 5; i < 9; ++i) requests.push_back(Request(i, size_t{7} * i));
  // Some want logits of all of their prompt.
  for (size_t i = 0; i < requests.size(); i += 2) requests[i].prompt_tokens = true;
  for (const Kernels* const kernels : SupportedKernels()) {
    std::vector<std::shared_ptr<Recorder>> alone;
    for (const GenerateRequest& request : requests) {
      alone.push_back(
          Model({.kernels = kernels, .threads = 1, .max_batch_tokens = 512}).Run(request));
      EXPECT_EQ(alone.back()->ids().size(), 30u);
    }
    for (const ModelSetup& setup : {ModelSetup{.threads = 1, .max_batch_tokens = 16},
                                    ModelSetup{.threads = 2, .max_batch_tokens = 17},
                                    ModelSetup{.threads = 3, .max_batch_tokens = 64}}) {
      ModelSetup with_kernels = setup;
      with_kernels.kernels = kernels;
      Model model(with_kernels);
      std::vector<std::shared_ptr<Recorder>> beside;
      for (const GenerateRequest& request : requests) beside.push_back(model.Submit(request));
      for (size_t i = 0; i < requests.size(); ++i) {
        EXPECT_EQ(beside[i]->Wait(), absl::OkStatus());
        EXPECT_EQ(beside[i]->ids(), alone[i]->ids()) << kernels->name << " " << i;
        EXPECT_EQ(ReportedLogprobs(*beside[i]), ReportedLogprobs(*alone[i]))
            << kernels->name << " " << i;
      }
    }
  }
}

TEST(EngineTest, AReplyDoesNotDependOnPreemption) {
  Model roomy;
  // Room for about one and a half of the sequences.
  Model tight({.blocks = 8});
  std::vector<std::shared_ptr<Recorder>> recorders;
  for (uint32_t i = 1; i < 7; ++i) recorders.push_back(tight.Submit(Request(i, 50)));
  for (uint32_t i = 1; i < 7; ++i) {
    EXPECT_EQ(recorders[i - 1]->Wait(), absl::OkStatus());
    const auto expected = roomy.Run(Request(i, 50));
    EXPECT_EQ(recorders[i - 1]->ids(), expected->ids());
    EXPECT_EQ(recorders[i - 1]->logprobs(), expected->logprobs());
  }
  tight.WaitUntilIdle();
  EXPECT_EQ(tight.engine.load().kv_cache_bytes_used, 0);
}

FinishedEvent EndOf(const Recorder& recorder) {
  return std::get<FinishedEvent>(recorder.events().back());
}

TEST(EngineTest, AReplyDoesNotDependOnAPrefixHit) {
  for (const Kernels* const kernels : SupportedKernels()) {
    const auto alone = Model({.kernels = kernels, .threads = 1}).Run(Request(1, 100));
    Model model({.kernels = kernels, .max_batch_tokens = 17});
    GenerateRequest longer = Request(1, 150);  // Its first 100 tokens are the other's prompt.
    model.Run(longer);
    const auto hit = model.Run(Request(1, 100));
    EXPECT_EQ(EndOf(*hit).cached_prompt_tokens, 96) << "the full blocks";
    const auto again = model.Run(Request(1, 100));
    for (const auto& reply : {hit, again}) {
      EXPECT_EQ(reply->ids(), alone->ids()) << kernels->name;
      EXPECT_EQ(reply->logprobs(), alone->logprobs()) << kernels->name;
    }
  }
}

TEST(EngineTest, AChatComputesOnlyWhatIsNewInEachTurn) {
  Model model;
  GenerateRequest turn = Request(1, 40, 20);
  for (int i = 0; i < 10; ++i) {
    const auto alone = Model().Run(turn);
    const auto reply = model.Run(turn);
    EXPECT_EQ(reply->ids(), alone->ids());
    EXPECT_EQ(reply->logprobs(), alone->logprobs());
    // What is new: 10 tokens, the last drawn one, and a block that was not full.
    const auto prompt = static_cast<int64_t>(turn.prompt.size());
    if (i > 0) {
      EXPECT_GE(EndOf(*reply).cached_prompt_tokens, prompt - 10 - 1 - 15);
    }
    for (const TokenId id : reply->ids()) turn.prompt.push_back(id);
    for (const TokenId id : Prompt(11, static_cast<uint32_t>(i))) turn.prompt.push_back(id);
  }
}

std::vector<PositionScore> ScoresOf(const Recorder& recorder) {
  std::vector<PositionScore> scores;
  for (const Event& event : recorder.events()) {
    const auto& positions = std::get<ScoreEvent>(event).positions;
    scores.insert(scores.end(), positions.begin(), positions.end());
  }
  return scores;
}

TEST(EngineTest, PromptReportsAndScoresAreTheSameAfterAPrefixHit) {
  GenerateRequest request = Request(1, 100);
  request.prompt_tokens = true;
  const ScoreRequest score = {.tokens = request.prompt, .from_position = 70, .top_candidates = 3};
  const auto reports = [&](Model& model) {
    std::vector<float> logprobs = ReportedLogprobs(*model.Run(request));
    const auto recorder = std::make_shared<Recorder>();
    EXPECT_TRUE(model.engine.Submit(score, recorder).ok());
    EXPECT_TRUE(recorder->Wait().ok());
    for (const PositionScore& position : ScoresOf(*recorder)) {
      logprobs.push_back(position.log_sum_exp);
      logprobs.push_back(position.next_logprob.value_or(0));
    }
    return logprobs;
  };
  Model cold, warm;
  const auto expected = reports(cold);
  EXPECT_EQ(expected.size(), 100u + 30 + 2 * 30);
  EXPECT_EQ(reports(warm), expected);
  EXPECT_EQ(reports(warm), expected);
}

TEST(EngineTest, EventsComeInTheirOrder) {
  Model model;
  GenerateRequest request = Request(1, 100, 5);
  request.prompt_tokens = true;
  request.progress = true;
  const std::vector<Event> events = model.Run(request)->events();
  ASSERT_TRUE(std::holds_alternative<AcceptedEvent>(events.front()));
  EXPECT_EQ(std::get<AcceptedEvent>(events.front()).seed, 1u);
  ASSERT_TRUE(std::holds_alternative<FinishedEvent>(events.back()));
  const auto& finished = std::get<FinishedEvent>(events.back());
  EXPECT_EQ(finished.reason, FinishReason::kMaxTokens);
  EXPECT_EQ(finished.completion_tokens, 5);
  EXPECT_EQ(finished.prompt_tokens, 100);
  size_t last = 0;
  for (const Event& event : events) {
    const size_t rank = std::holds_alternative<AcceptedEvent>(event)  ? 0
                        : std::holds_alternative<QueuedEvent>(event)  ? 1
                        : std::holds_alternative<PrefillEvent>(event) ? 1
                        : std::holds_alternative<PromptEvent>(event)  ? 2
                        : std::holds_alternative<TokensEvent>(event)  ? 3
                                                                      : 4;
    EXPECT_GE(rank, last);
    last = rank;
    if (const auto* prompt = std::get_if<PromptEvent>(&event)) {
      ASSERT_EQ(prompt->tokens.size(), 100u);
      EXPECT_FALSE(prompt->tokens[0].logprob.has_value());
      EXPECT_TRUE(prompt->tokens[1].logprob.has_value());
    }
  }
}

// Both are the model's own view, whatever the draw makes of it.
TEST(EngineTest, ScoreAndGenerateAgreeToTheBit) {
  Model model;
  GenerateRequest request = Request(3);
  request.sampling = {.temperature = 0.7F,
                      .top_k = 50,
                      .top_p = 0.9F,
                      .seed = 3,
                      .repetition_penalty = 1.3F,
                      .presence_penalty = 0.5F,
                      .logit_bias = {{20, 3.0F}, {21, -3.0F}}};
  request.top_candidates = 5;
  request.prompt_tokens = true;
  const auto generated = model.Run(request);
  std::vector<TokenReport> reports;
  for (const Event& event : generated->events()) {
    if (const auto* const prompt = std::get_if<PromptEvent>(&event)) reports = prompt->tokens;
  }
  ASSERT_EQ(reports.size(), 40u);
  for (const TokenReport& token : generated->tokens()) reports.push_back(token);

  ScoreRequest score = {.top_candidates = 5};
  for (const TokenReport& token : reports) score.tokens.push_back(token.id);
  const auto recorder = std::make_shared<Recorder>();
  ASSERT_TRUE(model.engine.Submit(score, recorder).ok());
  ASSERT_TRUE(recorder->Wait().ok());
  const std::vector<PositionScore> scores = ScoresOf(*recorder);
  ASSERT_EQ(scores.size(), reports.size());
  for (size_t i = 0; i + 1 < scores.size(); ++i) {
    EXPECT_EQ(scores[i].position, static_cast<int64_t>(i));
    const TokenReport& next = reports[i + 1];
    EXPECT_EQ(scores[i].next_logprob, next.logprob);
    ASSERT_EQ(scores[i].top.size(), next.candidates.size());
    int64_t rank = 6;
    for (size_t c = 5; c-- > 0;) {
      EXPECT_EQ(scores[i].top[c].id, next.candidates[c].id);
      EXPECT_EQ(scores[i].top[c].logprob, next.candidates[c].logprob);
      if (scores[i].top[c].id == next.id) rank = static_cast<int64_t>(c) + 1;
    }
    EXPECT_EQ(std::min<int64_t>(next.rank.value(), 6), rank);
  }
  EXPECT_FALSE(scores.back().next_logprob.has_value());
  EXPECT_LE(recorder->events().size(), 7u) << "a message for each step, of 16 positions at most";
}

TEST(EngineTest, StopTokensEndTheReplyAndAreNotPartOfIt) {
  Model model;
  const std::vector<TokenId> ids = model.Run(Request(4))->ids();
  GenerateRequest request = Request(4);
  request.stopping.stop_token_ids = {ids[7]};
  const size_t first = static_cast<size_t>(std::find(ids.begin(), ids.end(), ids[7]) - ids.begin());
  const auto stopped = model.Run(request);
  EXPECT_EQ(stopped->ids(), std::vector<TokenId>(ids.begin(), ids.begin() + first));
  const std::vector<Event> events = stopped->events();
  EXPECT_EQ(std::get<FinishedEvent>(events.back()).reason, FinishReason::kStopToken);
  EXPECT_EQ(std::get<FinishedEvent>(events.back()).stop_token, ids[7]);
  request.stopping.min_tokens = 20;
  for (size_t i = 0; i < 20; ++i) EXPECT_NE(model.Run(request)->ids()[i], ids[7]);
}

TEST(EngineTest, CancelledAndExpiredRequestsFreeTheirMemory) {
  Model model;
  GenerateRequest endless = Request(5, 10, 400);
  const auto cancelled = model.Submit(endless);
  cancelled->WaitForTokens(3);
  cancelled->Cancel();
  EXPECT_EQ(cancelled->Wait().code(), absl::StatusCode::kCancelled);
  endless.deadline = absl::Now() - absl::Seconds(1);
  EXPECT_EQ(model.Submit(endless)->Wait().code(), absl::StatusCode::kDeadlineExceeded);
  endless.deadline = absl::InfiniteFuture();
  endless.stopping.time_limit = absl::Nanoseconds(1);
  const auto limited = model.Run(endless);
  const std::vector<Event> events = limited->events();
  EXPECT_EQ(std::get<FinishedEvent>(events.back()).reason, FinishReason::kTimeLimit);
  model.WaitUntilIdle();
  EXPECT_EQ(model.engine.load().kv_cache_bytes_used, 0);
}

TEST(EngineTest, CancellingAtAnyStepFreesTheMemory) {
  // One at a time: the second waits, behind one that takes long, then computes its prompt, then
  // draws.
  Model model({.max_batch_tokens = 16, .engine = {.max_running = 1}});
  for (const int64_t hog : {0, 3, 12}) {
    for (int64_t polls = 0; polls < 24; ++polls) {
      const auto first = model.Submit(Request(1, 10, 400), hog);
      const auto second = model.Submit(Request(2, 100, 400), polls);
      EXPECT_EQ(first->Wait().code(), absl::StatusCode::kCancelled);
      EXPECT_EQ(second->Wait().code(), absl::StatusCode::kCancelled) << polls;
      model.WaitUntilIdle();
      EXPECT_EQ(model.engine.load().kv_cache_bytes_used, 0) << polls;
      EXPECT_EQ(model.engine.load().waiting_prefill_tokens, 0) << polls;
    }
  }
}

TEST(EngineTest, AReaderThatStopsWithAllTheMemoryStopsNobody) {
  Model model({.blocks = 8});
  const auto alone = model.Run(Request(6, 60, 60));
  const auto slow = model.Submit(Request(6, 60, 60));
  slow->WaitForTokens(40);  // 7 of the 8 blocks.
  slow->SetWritable(false);
  for (uint32_t i = 0; i < 3; ++i) EXPECT_EQ(model.Run(Request(i, 60, 60))->ids().size(), 60u);
  slow->SetWritable(true);
  model.engine.Wake();
  EXPECT_EQ(slow->Wait(), absl::OkStatus());
  EXPECT_EQ(slow->ids(), alone->ids());
  EXPECT_EQ(slow->logprobs(), alone->logprobs());
}

TEST(EngineTest, LogitsThatAreNoNumbersEndTheirOwnCallOnly) {
  Model sound;
  Model model({.blocks = 16, .poisoned = 7});
  GenerateRequest good = Request(3);
  good.sampling.logit_bias = {{7, -100.0F}};
  std::replace(good.prompt.begin(), good.prompt.end(), TokenId{7}, TokenId{8});
  GenerateRequest bad = Request(4);
  bad.prompt[20] = 7;
  const auto expected = sound.Run(good);
  for (int round = 0; round < 4; ++round) {  // Later ones get blocks that held what is no number.
    const auto failed = model.Submit(bad);
    const auto beside = model.Submit(good);
    EXPECT_EQ(failed->Wait().code(), absl::StatusCode::kInternal);
    EXPECT_EQ(GetReason(failed->Wait()), "NON_FINITE_LOGITS");
    EXPECT_EQ(beside->Wait(), absl::OkStatus());
    EXPECT_EQ(beside->ids(), expected->ids());
    EXPECT_EQ(beside->logprobs(), expected->logprobs());
  }
}

TEST(EngineTest, ARequestThatFitsTheCacheExactlyRuns) {
  Model model({.blocks = 4});  // 64 positions. The last token of a reply takes none.
  EXPECT_EQ(model.Run(Request(1, 40, 25))->ids().size(), 25u);
  EXPECT_EQ(GetReason(model.Submit(Request(1, 40, 26))->Wait()), "KV_CACHE_TOO_SMALL");
}

TEST(EngineTest, WithoutALimitAReplyEndsWhereTheCacheDoes) {
  Model model({.blocks = 4});
  GenerateRequest request = Request(1, 40);
  request.stopping = {};
  const auto reply = model.Run(request);
  EXPECT_EQ(std::get<AcceptedEvent>(reply->events().front()).max_tokens, 25);
  EXPECT_EQ(reply->ids().size(), 25u);
  EXPECT_EQ(EndOf(*reply).reason, FinishReason::kContextLength);
  request.prompt = Prompt(65, 1);
  EXPECT_EQ(GetReason(model.Submit(request)->Wait()), "KV_CACHE_TOO_SMALL");
}

TEST(EngineTest, RepliesEndForTheReasonThatCameFirst) {
  Model model;
  GenerateRequest request = Request(1, 500, 100);
  EXPECT_EQ(EndOf(*model.Run(request)).reason, FinishReason::kContextLength);
  EXPECT_EQ(EndOf(*model.Run(request)).completion_tokens, 12);
  request.stopping.max_tokens = 12;
  EXPECT_EQ(EndOf(*model.Run(request)).reason, FinishReason::kMaxTokens);
  request.stopping = {.max_total_tokens = 503};
  EXPECT_EQ(EndOf(*model.Run(request)).reason, FinishReason::kMaxTokens);
  EXPECT_EQ(EndOf(*model.Run(request)).completion_tokens, 3);

  request = Request(4);
  const std::vector<TokenId> ids = model.Run(request)->ids();
  const TokenId last = ids.back();
  const auto count = std::find(ids.begin(), ids.end(), last) - ids.begin();
  request.stopping.eos_token_ids = {2, last};
  FinishedEvent end = EndOf(*model.Run(request));
  EXPECT_EQ(end.reason, FinishReason::kEos);
  EXPECT_EQ(end.stop_token, last);
  EXPECT_EQ(end.completion_tokens, count);
  request.stopping.ignore_eos = true;
  const auto ignoring = model.Run(request);
  EXPECT_EQ(ignoring->ids(), ids) << "it is streamed";
  EXPECT_EQ(EndOf(*ignoring).reason, FinishReason::kMaxTokens);
  EXPECT_EQ(EndOf(*ignoring).stop_token, std::nullopt);
  request.stopping.stop_token_ids = {last};
  EXPECT_EQ(EndOf(*model.Run(request)).reason, FinishReason::kStopToken);
}

TEST(EngineTest, MinTokensHoldsWhereStopTokensAreMostOfTheVocabulary) {
  Model model;
  GenerateRequest request = Request(5);
  for (TokenId id = 0; id < 16; ++id) request.stopping.stop_token_ids.push_back(id);
  for (TokenId id = 16; id < 32; ++id) request.stopping.eos_token_ids.push_back(id);
  for (TokenId id = 0; id < 32; ++id) request.sampling.logit_bias[id] = 100;
  request.stopping.min_tokens = 9;
  const auto recorder = model.Run(request);
  EXPECT_EQ(recorder->ids().size(), 9u);
  for (const TokenId id : recorder->ids()) EXPECT_GE(id, 32u);
}

TEST(EngineTest, TheTimeLimitHoldsWhileTheRequestWaits) {
  Model model({.engine = {.max_running = 1}});
  const auto hog = model.Submit(Request(1, 10, 400));
  GenerateRequest request = Request(2);
  request.stopping.time_limit = absl::Nanoseconds(1);
  const FinishedEvent end = EndOf(*model.Run(request));
  EXPECT_EQ(end.reason, FinishReason::kTimeLimit);
  EXPECT_EQ(end.completion_tokens, 0);
  EXPECT_EQ(end.timings.queue, end.timings.total);
  hog->Cancel();
  model.engine.Wake();
  (void)hog->Wait();
}

// Wakes the engine from within each call, as a stream does.
class WakingSink final : public Recorder {
 public:
  explicit WakingSink(Engine& engine) : engine_(engine) {}
  void Write(Event event) override {
    engine_.Wake();
    Recorder::Write(std::move(event));
  }
  void Finish(const absl::Status& status) override {
    engine_.Wake();
    Recorder::Finish(status);
  }

 private:
  Engine& engine_;
};

TEST(EngineTest, ASinkMayWakeTheEngineThatCallsIt) {
  Model model;
  const auto sink = std::make_shared<WakingSink>(model.engine);
  ASSERT_TRUE(model.engine.Submit(Request(1), sink).ok());
  EXPECT_EQ(sink->Wait(), absl::OkStatus());
  EXPECT_EQ(sink->ids().size(), 30u);
}

TEST(EngineTest, ASlowReaderPausesOnlyItself) {
  Model model;
  const auto slow = model.Submit(Request(6, 10, 400));
  slow->WaitForTokens(1);
  slow->SetWritable(false);
  model.Run(Request(7));  // By its end the pause has been noticed.
  const size_t count = slow->ids().size();
  model.Run(Request(8));
  EXPECT_EQ(slow->ids().size(), count);
  slow->SetWritable(true);
  model.engine.Wake();
  EXPECT_EQ(slow->Wait(), absl::OkStatus());
  EXPECT_EQ(slow->ids().size(), 400u);
}

TEST(EngineTest, FullQueuesAndImpossibleRequestsAreRefused) {
  Model model({.blocks = 4, .engine = {.max_running = 1, .max_waiting = 2}});
  EXPECT_EQ(GetReason(model.Submit(Request(1, 40, 100))->Wait()), "KV_CACHE_TOO_SMALL");
  std::vector<std::shared_ptr<Recorder>> recorders;
  for (uint32_t i = 0; i < 40; ++i) recorders.push_back(model.Submit(Request(i, 30, 20)));
  int refused = 0;
  for (const auto& recorder : recorders) {
    const absl::Status status = recorder->Wait();
    if (status.ok()) continue;
    ++refused;
    EXPECT_EQ(GetReason(status), "QUEUE_FULL");
    EXPECT_TRUE(GetDetail<google::rpc::RetryInfo>(status).has_value());
  }
  EXPECT_GT(refused, 0);
  EXPECT_LT(refused, 40);
}

TEST(EngineTest, DestructionEndsWhatIsLeft) {
  auto model = std::make_unique<Model>();
  const auto left = model->Submit(Request(1, 10, 400));
  model = nullptr;
  EXPECT_EQ(left->Wait().code(), absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace llama
