// The model's rpcs over TCP, with the small trained model behind them.
#include "services/model/model_service.h"

#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/rpc/channel.h"
#include "common/rpc/grpc_status.h"
#include "common/rpc/server.h"
#include "common/status_details.h"
#include "gmock/gmock.h"
#include "grpcpp/grpcpp.h"
#include "gtest/gtest.h"
#include "services/model/served_model.h"

namespace llama {
namespace {

using testing::HasSubstr;

// One streaming call, whole.
template <typename Response>
struct Replies {
  std::vector<Response> messages;
  absl::Status status;
};
template <typename Response>
Replies<Response> ReadAll(grpc::ClientReader<Response>& reader) {
  Replies<Response> replies;
  for (Response message; reader.Read(&message);) replies.messages.push_back(message);
  replies.status = FromGrpcStatus(reader.Finish());
  return replies;
}

class ModelServiceTest : public testing::Test {
 protected:
  ModelServiceTest()
      : service_(gate_),
        server_(Server::Start({}, {{"llama.v1.ModelService", &service_}}, gate_).value()),
        stub_(v1::ModelService::NewStub(CreateChannel(server_->address()))) {}
  ~ModelServiceTest() override { server_->Drain(); }

  void Load(ServedModelOptions options = {}) {
    options.folder = absl::StrCat(LLAMA_TEST_DATA, "/stories260K");
    options.threads = 2;
    model_ = ServedModel::Load(options, PlanCompute(options).value(), [](double) {}).value();
    service_.SetModel(model_.get());
    gate_.SetServing();
  }

  Replies<v1::ModelServiceGenerateResponse> Generate(
      const v1::ModelServiceGenerateRequest& request) {
    grpc::ClientContext context;
    return ReadAll(*stub_->Generate(&context, request));
  }
  Replies<v1::ScoreResponse> Score(const v1::ScoreRequest& request) {
    grpc::ClientContext context;
    return ReadAll(*stub_->Score(&context, request));
  }
  // Asks until the engine holds no request any more, and returns its figures then.
  v1::GetLoadResponse LoadWhenIdle() {
    while (true) {
      grpc::ClientContext context;
      v1::GetLoadResponse load;
      EXPECT_TRUE(stub_->GetLoad(&context, {}, &load).ok());
      if (load.running() + load.waiting() == 0) return load;
      std::this_thread::yield();
    }
  }

  ServingGate gate_;
  std::unique_ptr<ServedModel> model_;  // Outlives the server.
  ModelServiceImpl service_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<v1::ModelService::Stub> stub_;
};

v1::ModelServiceGenerateRequest Request(int64_t prompt_tokens, int64_t max_tokens) {
  v1::ModelServiceGenerateRequest request;
  for (int64_t i = 0; i < prompt_tokens; ++i) {
    request.add_prompt_token_ids(static_cast<uint32_t>(1 + i * 7 % 500));
  }
  request.mutable_stopping()->set_max_tokens(max_tokens);
  return request;
}

TEST_F(ModelServiceTest, EveryRpcTellsHowFarLoadingIs) {
  gate_.SetLoading(42);
  grpc::ClientContext contexts[3];
  v1::GetModelInfoResponse info;
  v1::GetLoadResponse load;
  v1::GetComputePlanResponse plan;
  for (const absl::Status& status :
       {Generate(Request(3, 1)).status, Score({}).status,
        FromGrpcStatus(stub_->GetModelInfo(&contexts[0], {}, &info)),
        FromGrpcStatus(stub_->GetLoad(&contexts[1], {}, &load)),
        FromGrpcStatus(stub_->GetComputePlan(&contexts[2], {}, &plan))}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
    EXPECT_EQ(GetReason(status), "LOADING");
    EXPECT_EQ(GetDetail<google::rpc::ErrorInfo>(status)->metadata().at("percent"), "42");
    EXPECT_TRUE(GetDetail<google::rpc::RetryInfo>(status).has_value());
  }
}

TEST_F(ModelServiceTest, EventsComeInTheirOrderWithAllTheirFields) {
  Load({.name = "stories"});
  v1::ModelServiceGenerateRequest request = Request(9, 4);
  request.mutable_sampling()->set_temperature(1);
  request.mutable_output()->set_prompt(true);
  request.mutable_output()->set_top_candidates(2);
  const auto replies = Generate(request);
  ASSERT_TRUE(replies.status.ok()) << replies.status;

  const v1::Accepted& accepted = replies.messages.front().accepted();
  EXPECT_EQ(accepted.model().name(), "stories");
  EXPECT_EQ(accepted.model().digest(), model_->checkpoint().digest());
  EXPECT_EQ(accepted.model().tokenizer_digest().size(), 64u);
  EXPECT_TRUE(accepted.has_seed()) << "picked, and told";
  EXPECT_EQ(accepted.prompt_tokens(), 9);
  EXPECT_EQ(accepted.max_tokens(), 4);
  const v1::PromptTokens& prompt = replies.messages.at(1).prompt();
  ASSERT_EQ(prompt.tokens_size(), 9);
  EXPECT_FALSE(prompt.tokens(0).has_logprob());
  EXPECT_TRUE(prompt.tokens(8).has_rank());
  std::vector<v1::Token> tokens;
  for (size_t i = 2; i + 1 < replies.messages.size(); ++i) {
    ASSERT_TRUE(replies.messages[i].has_tokens());
    for (const v1::Token& token : replies.messages[i].tokens().tokens()) tokens.push_back(token);
  }
  ASSERT_EQ(tokens.size(), 4u);
  EXPECT_EQ(tokens[0].candidates_size(), 2);
  const v1::ModelFinished& finished = replies.messages.back().finished();
  EXPECT_EQ(finished.reason(), v1::FINISH_REASON_MAX_TOKENS);
  EXPECT_FALSE(finished.has_stop_token_id());
  EXPECT_EQ(finished.usage().prompt_tokens(), 9);
  EXPECT_EQ(finished.usage().completion_tokens(), 4);
  EXPECT_GT(finished.timings().prefill_tokens_per_second(), 0);

  // The same request with the seed that was told gives the same tokens.
  request.mutable_sampling()->set_seed(accepted.seed());
  const auto again = Generate(request);
  ASSERT_TRUE(again.status.ok());
  size_t next = 0;
  for (const auto& message : again.messages) {
    for (const v1::Token& token : message.tokens().tokens()) {
      EXPECT_EQ(token.SerializeAsString(), tokens.at(next++).SerializeAsString());
    }
  }
  EXPECT_EQ(next, 4u);
}

TEST_F(ModelServiceTest, GreedyRepliesHaveNoSeed) {
  Load();
  EXPECT_FALSE(Generate(Request(3, 1)).messages.front().accepted().has_seed());
}

TEST_F(ModelServiceTest, AnotherModelThanAskedForRefuses) {
  Load({.name = "stories"});
  v1::ModelServiceGenerateRequest request = Request(3, 1);
  request.mutable_model()->set_name("stories");
  request.mutable_model()->set_digest(model_->checkpoint().digest());
  request.mutable_model()->set_tokenizer_digest(model_->tokenizer_digest());
  EXPECT_TRUE(Generate(request).status.ok());
  for (const auto& change : std::vector<std::function<void(v1::ModelIdentity&)>>{
           [](auto& model) { model.set_name("other"); },
           [](auto& model) { model.set_digest(std::string(64, '0')); },
           [](auto& model) { model.set_tokenizer_digest(std::string(64, '0')); }}) {
    v1::ModelServiceGenerateRequest changed = request;
    change(*changed.mutable_model());
    const absl::Status status = Generate(changed).status;
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_EQ(GetReason(status), "MODEL_IDENTITY_MISMATCH");
  }
}

TEST_F(ModelServiceTest, RefusalsNameTheFieldOfTheRequest) {
  Load();
  struct Case {
    const char* field;
    std::function<void(v1::ModelServiceGenerateRequest&)> change;
  };
  const auto duration = [](int64_t seconds, int32_t nanos) {
    return [seconds, nanos](v1::ModelServiceGenerateRequest& request) {
      request.mutable_stopping()->mutable_time_limit()->set_seconds(seconds);
      request.mutable_stopping()->mutable_time_limit()->set_nanos(nanos);
    };
  };
  const std::vector<Case> cases = {
      {"prompt_token_ids", [](auto& r) { r.clear_prompt_token_ids(); }},
      {"prompt_token_ids[1]", [](auto& r) { r.set_prompt_token_ids(1, 512); }},
      {"eos_token_ids[0]", [](auto& r) { r.add_eos_token_ids(4'000'000'000); }},
      {"sampling.logit_bias[600]",
       [](auto& r) { (*r.mutable_sampling()->mutable_logit_bias())[600] = 1; }},
      {"stopping.max_tokens", [](auto& r) { r.mutable_stopping()->set_max_tokens(-1); }},
      {"stopping.stop_sequences", [](auto& r) { r.mutable_stopping()->add_stop_sequences("x"); }},
      {"stopping.time_limit", duration(0, 0)},
      {"stopping.time_limit", duration(-1, 0)},
      {"stopping.time_limit", duration(1, -1)},
      {"stopping.time_limit", duration(1, 1'000'000'000)},
      {"stopping.time_limit", duration(std::numeric_limits<int64_t>::max(), 0)},
      {"output.top_candidates", [](auto& r) { r.mutable_output()->set_top_candidates(21); }},
  };
  for (const Case& c : cases) {
    v1::ModelServiceGenerateRequest request = Request(3, 1);
    c.change(request);
    const absl::Status status = Generate(request).status;
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << c.field;
    EXPECT_EQ(GetReason(status), "FIELD_INVALID") << c.field;
    const auto detail = GetDetail<google::rpc::BadRequest>(status);
    ASSERT_TRUE(detail.has_value()) << c.field << ": " << status;
    EXPECT_EQ(detail->field_violations(0).field(), c.field);
    EXPECT_THAT(detail->field_violations(0).description(), HasSubstr("found")) << c.field;
  }
}

// The prompt's report and the first token come out of one step: together they are far more than a
// stream usually holds.
TEST_F(ModelServiceTest, AReaderThatKeepsUpGetsEveryPositionOfALongPrompt) {
  Load();
  v1::ModelServiceGenerateRequest request = Request(1500, 3);
  request.mutable_output()->set_prompt(true);
  request.mutable_output()->set_top_candidates(20);
  const auto replies = Generate(request);
  ASSERT_TRUE(replies.status.ok()) << replies.status;
  int next = 0;
  for (const auto& message : replies.messages) {
    EXPECT_LT(message.ByteSizeLong(), 400'000u) << "far from what a message may have";
    for (const v1::Token& token : message.prompt().tokens()) {
      EXPECT_EQ(token.id(), request.prompt_token_ids(next));
      ASSERT_EQ(token.candidates_size(), next++ == 0 ? 0 : 20);
    }
  }
  EXPECT_EQ(next, 1500);
  EXPECT_TRUE(replies.messages.back().has_finished());
}

TEST_F(ModelServiceTest, AReaderThatKeepsUpGetsEveryPositionOfAScore) {
  Load({.engine = EngineOptions{.max_running = 512}});  // Steps of up to 512 reported positions.
  v1::ScoreRequest request;
  *request.mutable_token_ids() = Request(1500, 1).prompt_token_ids();
  request.set_top_candidates(20);
  for (uint32_t i = 0; i < 64; ++i) request.add_candidate_token_ids(511 - i % 3);
  const auto replies = Score(request);
  ASSERT_TRUE(replies.status.ok()) << replies.status;
  int64_t next = 0;
  for (const v1::ScoreResponse& message : replies.messages) {
    for (const v1::PositionScore& position : message.positions()) {
      EXPECT_EQ(position.position(), next++);
      EXPECT_EQ(position.top_size(), 20);
      ASSERT_EQ(position.requested_size(), 64);
      EXPECT_EQ(position.requested(63).id(), 511u);
      EXPECT_EQ(position.has_next_logprob(), next < 1500);
    }
  }
  EXPECT_EQ(next, 1500);
}

TEST_F(ModelServiceTest, ACallIsUnderWayUntilItsClientHasTheWholeStream) {
  Load();
  v1::ModelServiceGenerateRequest request = Request(2500, 1);
  request.mutable_output()->set_prompt(true);
  request.mutable_output()->set_top_candidates(20);
  // Without probing, the client's window stays at 64 KiB, and most of the reply has to wait.
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  const auto stub = v1::ModelService::NewStub(
      grpc::CreateCustomChannel(server_->address(), grpc::InsecureChannelCredentials(), arguments));
  grpc::ClientContext context;
  const auto reader = stub->Generate(&context, request);
  v1::ModelServiceGenerateResponse accepted;
  ASSERT_TRUE(reader->Read(&accepted));
  LoadWhenIdle();  // The engine is done; gRPC still holds most of what is to be sent.
  EXPECT_GE(gate_.calls(), 1);
  const absl::Status status = ReadAll(*reader).status;
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_TRUE(gate_.WaitUntilEmpty(absl::Now() + absl::Seconds(20)));
}

TEST_F(ModelServiceTest, CancelledAndExpiredCallsGiveTheirMemoryBack) {
  Load();
  v1::ModelServiceGenerateRequest endless = Request(10, 4000);
  {
    grpc::ClientContext context;
    const auto reader = stub_->Generate(&context, endless);
    v1::ModelServiceGenerateResponse message;
    while (reader->Read(&message) && !message.has_tokens()) {
    }
    context.TryCancel();
    EXPECT_EQ(ReadAll(*reader).status.code(), absl::StatusCode::kCancelled);
  }
  EXPECT_EQ(LoadWhenIdle().kv_cache_bytes_used(), 0);
  {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Milliseconds(30)));
    EXPECT_EQ(ReadAll(*stub_->Generate(&context, endless)).status.code(),
              absl::StatusCode::kDeadlineExceeded);
  }
  EXPECT_EQ(LoadWhenIdle().kv_cache_bytes_used(), 0);
}

TEST_F(ModelServiceTest, ARepeatedPromptComesFromTheCacheWithinItsSaltOnly) {
  Load();
  v1::ModelServiceGenerateRequest request = Request(100, 3);
  const auto usage = [&] { return Generate(request).messages.back().finished().usage(); };
  EXPECT_FALSE(LoadWhenIdle().has_wait_when_full()) << "nothing is known yet";
  EXPECT_EQ(usage().cached_prompt_tokens(), 0);
  EXPECT_EQ(usage().cached_prompt_tokens(), 96);
  request.set_cache_salt("tenant");
  EXPECT_EQ(usage().cached_prompt_tokens(), 0);
  EXPECT_EQ(usage().cached_prompt_tokens(), 96);
  const v1::GetLoadResponse load = LoadWhenIdle();
  EXPECT_EQ(load.kv_cache_bytes_used(), 0);
  EXPECT_GT(load.kv_cache_bytes_cached(), 0);
  EXPECT_GT(load.prefix_cache_hit_rate(), 0.4);
  EXPECT_GT(load.wait_when_full().nanos(), 0);
}

TEST_F(ModelServiceTest, InfoAndPlanDescribeTheModel) {
  Load();
  v1::GetModelInfoRequest request;
  request.set_tensors(true);
  v1::GetModelInfoResponse info;
  grpc::ClientContext info_context;
  ASSERT_TRUE(stub_->GetModelInfo(&info_context, request, &info).ok());
  EXPECT_EQ(info.model().name(), "stories260K");
  EXPECT_EQ(info.architecture(), "Llama");
  EXPECT_EQ(info.dimensions().vocab_size(), 512);
  EXPECT_EQ(info.context_length(), 4096);
  EXPECT_EQ(info.max_running(), 32);
  EXPECT_EQ(info.max_waiting(), 64);
  int64_t parameters = 0;
  for (const v1::TensorInfo& tensor : info.tensors()) {
    if (tensor.name() == "rope.freqs") continue;
    int64_t count = 1;
    for (const int64_t size : tensor.shape()) count *= size;
    parameters += count;
  }
  EXPECT_EQ(info.parameter_count(), parameters);

  v1::GetComputePlanResponse plan;
  grpc::ClientContext plan_context;
  ASSERT_TRUE(stub_->GetComputePlan(&plan_context, {}, &plan).ok());
  EXPECT_EQ(plan.instruction_set(), SupportedKernels().back()->name);
  EXPECT_EQ(plan.threads(), 2);
  EXPECT_EQ(plan.weights_type(), "bf16");
  EXPECT_FALSE(plan.weights_resident()) << "so small a model is used where it is mapped";
  EXPECT_EQ(plan.weight_bytes(), info.weight_bytes());
  // All but the embeddings, of which a token reads one row.
  EXPECT_EQ(plan.bytes_per_decode_step(), info.weight_bytes() - int64_t{512 - 1} * 64 * 2);
  EXPECT_GT(plan.memory_read_gigabytes_per_second(), 0);
  EXPECT_NEAR(plan.decode_tokens_per_second_limit() * plan.bytes_per_decode_step(),
              plan.memory_read_gigabytes_per_second() * 1e9, 1);
  EXPECT_GE(plan.affinity_cpus(), plan.affinity_cores());
  EXPECT_GE(plan.affinity_cores(), 1);
  EXPECT_GT(plan.scratch_bytes(), 0);
  EXPECT_EQ(plan.activations_type(), "bf16");
  EXPECT_GT(plan.kv_cache_bytes(), 0);
  EXPECT_GT(plan.memory_limit_bytes(), plan.weight_bytes());
}

}  // namespace
}  // namespace llama
