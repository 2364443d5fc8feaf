#include "services/gateway/gateway_service.h"

#include <memory>
#include <utility>

#include "common/rpc/call_context.h"
#include "common/rpc/refuse_stream.h"
#include "common/rpc/unary.h"
#include "common/status_macros.h"
#include "services/gateway/backend_status.h"
#include "services/gateway/request_checks.h"

namespace llama {
namespace {

// What a call holds of this service. The pass goes last, for then the service may.
struct Entry {
  ServingGate::Pass pass;
  std::unique_ptr<CallAdmission::Place> place;
};

// GetInfo under way: two calls to the model, one after the other, that end when their caller
// leaves. Deletes itself when the call is over.
class InfoCall final : public grpc::ServerUnaryReactor {
 public:
  InfoCall(grpc::CallbackServerContext& context, std::shared_ptr<v1::ModelService::Stub> model,
           std::shared_ptr<const Backends> backends, ServingGate::Pass pass,
           v1::GetInfoResponse& response)
      : pass_(std::move(pass)),
        model_(std::move(model)),
        backends_(std::move(backends)),
        response_(response) {
    info_context_.set_deadline(context.deadline());
    plan_context_.set_deadline(context.deadline());
    const std::shared_ptr<CallNotes> notes = NotesOf(context);
    ForwardCall(CallerOf(context), *notes, info_context_);
    ForwardCall(CallerOf(context), *notes, plan_context_);
  }

  void Start(bool tensors) {
    info_request_.set_tensors(tensors);
    model_->async()->GetModelInfo(
        &info_context_, &info_request_, response_.mutable_model(),
        [this](const grpc::Status& status) { status.ok() ? AskForPlan() : Fail(status); });
  }

  void OnCancel() override {
    info_context_.TryCancel();
    plan_context_.TryCancel();
  }
  void OnDone() override { delete this; }

 private:
  void AskForPlan() {
    *response_.mutable_tokenizer() = backends_->tokenizer;
    response_.mutable_model()->mutable_model()->set_tokenizer_digest(backends_->tokenizer.digest());
    model_->async()->GetComputePlan(
        &plan_context_, &plan_request_, response_.mutable_compute_plan(),
        [this](const grpc::Status& status) { status.ok() ? Finish(status) : Fail(status); });
  }
  void Fail(const grpc::Status& status) { Finish(ToGrpcStatus(BackendFailed("model", status))); }

  const ServingGate::Pass pass_;  // Destroyed last: the stub's pool may be gone after it.
  const std::shared_ptr<v1::ModelService::Stub> model_;
  const std::shared_ptr<const Backends> backends_;
  v1::GetInfoResponse& response_;
  grpc::ClientContext info_context_;
  grpc::ClientContext plan_context_;
  v1::GetModelInfoRequest info_request_;
  v1::GetComputePlanRequest plan_request_;
};

}  // namespace

grpc::ServerWriteReactor<v1::GenerateResponse>* GatewayServiceImpl::Generate(
    grpc::CallbackServerContext* context, const v1::GenerateRequest* request) {
  const std::shared_ptr<CallNotes> notes = NotesOf(*context);
  if (!request->request_id().empty()) notes->SetRequestId(request->request_id());
  absl::StatusOr<ServingGate::Pass> pass = gate_.Enter();
  if (!pass.ok()) return RefuseStream<v1::GenerateResponse>(pass.status());
  const std::shared_ptr<const Backends> backends = monitor_.backends();
  if (const absl::Status status =
          CheckGenerateRequest(*request, backends->tokenizer.max_prompt_bytes());
      !status.ok()) {
    return RefuseStream<v1::GenerateResponse>(status);
  }
  const std::string caller = CallerOf(*context);
  absl::StatusOr<std::unique_ptr<CallAdmission::Place>> place = admission_.Enter(caller);
  if (!place.ok()) return RefuseStream<v1::GenerateResponse>(place.status());
  v1::GenerateRequest named = *request;
  named.set_request_id(notes->request_id());
  auto entry = std::make_shared<Entry>(Entry{*std::move(pass), *std::move(place)});
  const auto relay =
      std::make_shared<Relay>(Relay::Pools{tokenizers_, models_}, *entry->place, named, backends,
                              absl::FromChrono(context->deadline()), caller, notes);
  // The relay owns the stream, so that the stream only knows of the relay. The call is over when
  // both are: the stream's end may wait for its client when the relay has nothing more to do.
  const auto stream = Relay::Stream::Create(
      context, {}, [weak = std::weak_ptr<Relay>(relay), entry = std::move(entry)] {
        if (const std::shared_ptr<Relay> alive = weak.lock()) alive->OnClientChange();
      });
  relay->Start(stream);
  return stream.get();
}

grpc::ServerUnaryReactor* GatewayServiceImpl::GetInfo(grpc::CallbackServerContext* context,
                                                      const v1::GetInfoRequest* request,
                                                      v1::GetInfoResponse* response) {
  absl::StatusOr<ServingGate::Pass> pass = gate_.Enter();
  if (!pass.ok()) return FinishUnary(context, pass.status());
  auto* const call =
      new InfoCall(*context, models_.Take(), monitor_.backends(), *std::move(pass), *response);
  call->Start(request->tensors());
  return call;
}

}  // namespace llama
