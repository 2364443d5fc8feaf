#include "services/model/model_service.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "common/proto_duration.h"
#include "common/rpc/call_context.h"
#include "common/rpc/server_stream.h"
#include "common/rpc/unary.h"
#include "common/status_details.h"
#include "common/status_macros.h"
#include "services/model/event_messages.h"
#include "services/model/request_messages.h"

namespace llama {
namespace {

v1::DataType ToProto(DataType type) {
  switch (type) {
    case DataType::kBf16:
      return v1::DATA_TYPE_BF16;
    case DataType::kF16:
      return v1::DATA_TYPE_F16;
    case DataType::kF32:
      return v1::DATA_TYPE_F32;
  }
  return v1::DATA_TYPE_UNSPECIFIED;
}

absl::Status CheckIdentity(const v1::ModelIdentity& wanted, const ServedModel& model) {
  const v1::ModelIdentity served = Identity(model);
  const auto differs = [](const std::string& want, const std::string& have) {
    return !want.empty() && want != have;
  };
  if (!differs(wanted.name(), served.name()) && !differs(wanted.digest(), served.digest()) &&
      !differs(wanted.tokenizer_digest(), served.tokenizer_digest())) {
    return absl::OkStatus();
  }
  return MakeStatus(absl::StatusCode::kFailedPrecondition, "MODEL_IDENTITY_MISMATCH",
                    absl::StrCat("this server's model is ", served.name(), ", digest ",
                                 served.digest(), ": another one than was asked for"));
}

// What an event says for the call's record.
struct EventNoter {
  CallNotes& notes;

  void operator()(const AcceptedEvent& event) const { notes.SetPromptTokens(event.prompt_tokens); }
  void operator()(const TokensEvent& event) const {
    notes.AddCompletionTokens(static_cast<int64_t>(event.tokens.size()));
  }
  void operator()(const FinishedEvent& event) const {
    notes.SetQueueTime(event.timings.queue);
    notes.SetCachedPromptTokens(event.cached_prompt_tokens);
    notes.SetCompletionTokens(event.completion_tokens);
  }
  template <typename Other>
  void operator()(const Other&) const {}
};

// The engine's events as messages of a stream.
template <typename Response>
class StreamSink final : public EventSink {
 public:
  StreamSink(const ServedModel& model, std::shared_ptr<ServerStream<Response>> stream,
             std::shared_ptr<CallNotes> notes)
      : model_(model), stream_(std::move(stream)), notes_(std::move(notes)) {}

  void Write(Event event) override {
    std::visit(EventNoter{*notes_}, event);
    Response response;
    WriteEvent(model_, event, response);
    stream_->Write(std::move(response));
  }
  void Finish(const absl::Status& status) override { stream_->Finish(status); }
  bool writable() const override { return stream_->writable(); }
  bool cancelled() const override { return stream_->cancelled(); }

 private:
  const ServedModel& model_;
  const std::shared_ptr<ServerStream<Response>> stream_;
  const std::shared_ptr<CallNotes> notes_;
};

// Bounds, in bytes, of the messages that hold the reports on `positions` positions, each with so
// many candidates.
int64_t ReportBytes(int64_t positions, int64_t candidates) {
  constexpr int64_t kPositionBytes = 64;
  constexpr int64_t kCandidateBytes = 16;
  return positions * (kPositionBytes + candidates * kCandidateBytes);
}

// A step may write as much as the stream's capacity at once: the whole prompt's report and the
// first token.
int64_t MaxStepBytes(const v1::ModelServiceGenerateRequest& request, const ServedModel&) {
  if (!request.output().prompt()) return 0;
  return ReportBytes(request.prompt_token_ids_size() + 1,
                     std::clamp<int64_t>(request.output().top_candidates(), 0, 20));
}

// A step's positions.
int64_t MaxStepBytes(const v1::ScoreRequest& request, const ServedModel& model) {
  return ReportBytes(
      std::min<int64_t>(request.token_ids_size(), model.plan().transformer.max_batch_logits),
      std::clamp<int64_t>(request.top_candidates(), 0, 20) +
          std::min(request.candidate_token_ids_size(), 64));
}

// Answers a streaming call: enters the gate, and hands the request that `make` makes to the engine.
// The call holds its pass until gRPC is done with the stream.
template <typename Response, typename Request, typename Make>
grpc::ServerWriteReactor<Response>* StartStream(grpc::CallbackServerContext* context,
                                                const Request& request, ServingGate& gate,
                                                const std::atomic<ServedModel*>& loaded,
                                                Make make) {
  auto pass = std::make_shared<const absl::StatusOr<ServingGate::Pass>>(gate.Enter());
  const absl::Status entered = pass->status();
  ServedModel* const model = entered.ok() ? loaded.load() : nullptr;
  ServerStreamOptions options;
  if (model != nullptr) {
    options.capacity_bytes = std::max(options.capacity_bytes, MaxStepBytes(request, *model));
  }
  auto stream = ServerStream<Response>::Create(context, options, [model, pass = std::move(pass)] {
    if (model != nullptr) model->engine().Wake();
  });
  const auto submit = [&]() -> absl::Status {
    RETURN_IF_ERROR(entered);
    ASSIGN_OR_RETURN(auto made, make(*model));
    return model->engine().Submit(
        std::move(made), std::make_shared<StreamSink<Response>>(*model, stream, NotesOf(*context)));
  };
  if (const absl::Status status = submit(); status.ok()) {
    stream->SendHeaders();
  } else {
    stream->Finish(status);
  }
  return stream.get();
}

}  // namespace

template <typename Answer>
grpc::ServerUnaryReactor* ModelServiceImpl::AnswerUnary(grpc::CallbackServerContext* context,
                                                        Answer answer) {
  absl::StatusOr<ServingGate::Pass> pass = gate_.Enter();
  if (!pass.ok()) return FinishUnary(context, pass.status());
  answer(*model_.load());
  return FinishUnary(*std::move(pass), absl::OkStatus());
}

grpc::ServerWriteReactor<v1::ModelServiceGenerateResponse>* ModelServiceImpl::Generate(
    grpc::CallbackServerContext* context, const v1::ModelServiceGenerateRequest* request) {
  return StartStream<v1::ModelServiceGenerateResponse>(
      context, *request, gate_, model_,
      [&](const ServedModel& model) -> absl::StatusOr<GenerateRequest> {
        RETURN_IF_ERROR(CheckIdentity(request->model(), model));
        return FromProto(*request, *context);
      });
}

grpc::ServerWriteReactor<v1::ScoreResponse>* ModelServiceImpl::Score(
    grpc::CallbackServerContext* context, const v1::ScoreRequest* request) {
  return StartStream<v1::ScoreResponse>(context, *request, gate_, model_,
                                        [&](const ServedModel&) -> absl::StatusOr<ScoreRequest> {
                                          return FromProto(*request, *context);
                                        });
}

grpc::ServerUnaryReactor* ModelServiceImpl::GetModelInfo(grpc::CallbackServerContext* context,
                                                         const v1::GetModelInfoRequest* request,
                                                         v1::GetModelInfoResponse* response) {
  return AnswerUnary(context, [&](const ServedModel& model) {
    const Checkpoint& checkpoint = model.checkpoint();
    const ModelConfig& config = checkpoint.config();
    *response->mutable_model() = Identity(model);
    response->set_architecture("Llama");
    response->set_format("PyTorch checkpoint");
    v1::ModelDimensions& dimensions = *response->mutable_dimensions();
    dimensions.set_dim(config.dim);
    dimensions.set_n_layers(config.n_layers);
    dimensions.set_n_heads(config.n_heads);
    dimensions.set_n_kv_heads(config.n_kv_heads);
    dimensions.set_head_dim(config.head_dim);
    dimensions.set_ffn_hidden_dim(config.ffn_hidden_dim);
    dimensions.set_vocab_size(config.vocab_size);
    dimensions.set_multiple_of(config.multiple_of);
    if (config.ffn_dim_multiplier.has_value()) {
      dimensions.set_ffn_dim_multiplier(*config.ffn_dim_multiplier);
    }
    dimensions.set_norm_eps(config.norm_eps);
    dimensions.set_rope_theta(config.rope_theta);
    dimensions.set_n_kv_heads_given(config.n_kv_heads_given);
    response->set_parameter_count(checkpoint.parameter_count());
    response->set_weight_bytes(checkpoint.weight_bytes());
    response->set_context_length(model.plan().transformer.context_length);
    response->set_max_running(model.engine_options().max_running);
    response->set_max_waiting(model.engine_options().max_waiting);
    if (!request->tensors()) return;
    for (const TensorInfo& info : checkpoint.tensors()) {
      v1::TensorInfo& tensor = *response->add_tensors();
      tensor.set_name(info.name);
      tensor.set_data_type(ToProto(info.type));
      tensor.mutable_shape()->Add(info.shape.begin(), info.shape.end());
    }
  });
}

grpc::ServerUnaryReactor* ModelServiceImpl::GetLoad(grpc::CallbackServerContext* context,
                                                    const v1::GetLoadRequest*,
                                                    v1::GetLoadResponse* response) {
  return AnswerUnary(context, [&](ServedModel& model) {
    const EngineLoad load = model.engine().load();
    response->set_running(load.running);
    response->set_waiting(load.waiting);
    response->set_waiting_prefill_tokens(load.waiting_prefill_tokens);
    response->set_kv_cache_bytes_used(load.kv_cache_bytes_used);
    response->set_kv_cache_bytes_cached(load.kv_cache_bytes_cached);
    response->set_kv_cache_bytes_total(load.kv_cache_bytes_total);
    response->set_prefill_tokens_per_second(load.prefill_tokens_per_second);
    response->set_decode_tokens_per_second(load.decode_tokens_per_second);
    response->set_prefix_cache_hit_rate(load.prefix_cache_hit_rate);
    SetDuration(load.max_decode_gap, *response->mutable_max_decode_gap());
    if (load.wait_when_full.has_value()) {
      SetDuration(*load.wait_when_full, *response->mutable_wait_when_full());
    }
  });
}

grpc::ServerUnaryReactor* ModelServiceImpl::GetComputePlan(grpc::CallbackServerContext* context,
                                                           const v1::GetComputePlanRequest*,
                                                           v1::GetComputePlanResponse* response) {
  return AnswerUnary(context, [&](const ServedModel& model) {
    const ComputePlan& plan = model.plan();
    response->set_instruction_set(plan.kernels->name);
    response->set_threads(plan.threads);
    response->set_online_cpus(plan.cpus.online_cpus);
    response->set_affinity_cpus(plan.cpus.affinity_cpus);
    response->set_affinity_cores(static_cast<int64_t>(plan.cpus.cores.size()));
    if (plan.cpus.cgroup_cpus.has_value()) response->set_cgroup_cpus(*plan.cpus.cgroup_cpus);
    response->set_memory_read_gigabytes_per_second(plan.memory_read_bytes_per_second / 1e9);
    response->set_decode_tokens_per_second_limit(plan.decode_tokens_per_second_limit());
    response->set_weight_bytes(plan.weight_bytes);
    response->set_weights_resident(plan.resident);
    response->set_kv_cache_bytes(plan.kv_cache_bytes);
    response->set_scratch_bytes(plan.scratch_bytes);
    response->set_memory_limit_bytes(plan.memory_limit_bytes);
    response->set_bytes_per_decode_step(plan.bytes_per_decode_step);
    response->set_weights_type(std::string(NameOf(model.checkpoint().weights().output.type)));
    response->set_activations_type(std::string(NameOf(plan.transformer.activations)));
  });
}

}  // namespace llama
