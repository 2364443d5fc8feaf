#include "services/gateway/gateway_service.h"

#include <array>
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

// GetInfo is of the same replica, as long as that is there.
constexpr uint64_t kInfoKey = 0;

// What a call holds of this service. The pass goes last, for then the service may.
struct Entry {
  ServingGate::Pass pass;
  std::unique_ptr<CallAdmission::Place> place;
};

// GetInfo under way: two calls to a replica of the model, one after the other, that end when their
// caller leaves. A replica that is away is replaced by another one, once. Deletes itself
// when the call is over.
class InfoCall final : public grpc::ServerUnaryReactor {
 public:
  InfoCall(grpc::CallbackServerContext& context, ModelReplicas& models,
           std::shared_ptr<const Backends> backends, ServingGate::Pass pass,
           v1::GetInfoResponse& response)
      : context_(context),
        pass_(std::move(pass)),
        models_(models),
        backends_(std::move(backends)),
        response_(response) {
    const std::shared_ptr<CallNotes> notes = NotesOf(context);
    for (Attempt& attempt : attempts_) {
      for (grpc::ClientContext* const call : {&attempt.info_context, &attempt.plan_context}) {
        call->set_deadline(context.deadline());
        ForwardCall(CallerOf(context), *notes, *call);
      }
    }
  }

  void Start(bool tensors, std::unique_ptr<ModelReplicas::Lease> replica) {
    info_request_.set_tensors(tensors);
    AskForInfo(std::move(replica));
  }

  void OnCancel() override {
    for (Attempt& attempt : attempts_) {
      attempt.info_context.TryCancel();
      attempt.plan_context.TryCancel();
    }
  }
  void OnDone() override { delete this; }

 private:
  struct Attempt {
    std::unique_ptr<ModelReplicas::Lease> replica;
    grpc::ClientContext info_context;
    grpc::ClientContext plan_context;
  };

  void AskForInfo(std::unique_ptr<ModelReplicas::Lease> replica) {
    Attempt& now = attempts_[attempt_];
    now.replica = std::move(replica);
    now.replica->stub().async()->GetModelInfo(
        &now.info_context, &info_request_, response_.mutable_model(),
        [this](const grpc::Status& status) { status.ok() ? AskForPlan() : Fail(status); });
  }
  void AskForPlan() {
    *response_.mutable_tokenizer() = backends_->tokenizer;
    response_.mutable_model()->mutable_model()->set_tokenizer_digest(backends_->tokenizer.digest());
    Attempt& now = attempts_[attempt_];
    now.replica->stub().async()->GetComputePlan(
        &now.plan_context, &plan_request_, response_.mutable_compute_plan(),
        [this](const grpc::Status& status) { status.ok() ? Finish(status) : Fail(status); });
  }
  void Fail(const grpc::Status& status) {
    if (context_.IsCancelled()) return Finish(grpc::Status::CANCELLED);
    ModelReplicas::Lease& failed = *attempts_[attempt_].replica;
    failed.Failed(status);
    if (IsAway(status) && attempt_ + 1 < attempts_.size()) {
      if (auto other = models_.TakeOther(kInfoKey, failed); other != nullptr) {
        ++attempt_;
        return AskForInfo(std::move(other));
      }
    }
    Finish(ToGrpcStatus(BackendFailed("model", status)));
  }

  grpc::CallbackServerContext& context_;
  const ServingGate::Pass pass_;  // Destroyed last: the replicas may be gone after it.
  ModelReplicas& models_;
  const std::shared_ptr<const Backends> backends_;
  v1::GetInfoResponse& response_;
  std::array<Attempt, 2> attempts_;
  size_t attempt_ = 0;
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
  absl::StatusOr<std::unique_ptr<CallAdmission::Place>> place =
      admission_.Enter(caller, backends->places);
  if (!place.ok()) return RefuseStream<v1::GenerateResponse>(place.status());
  v1::GenerateRequest named = *request;
  named.set_request_id(notes->request_id());
  auto entry = std::make_shared<Entry>(Entry{*std::move(pass), *std::move(place)});
  const auto relay = std::make_shared<Relay>(Relay::Pools{tokenizers_, models_}, *entry->place,
                                             named, backends, context->deadline(), caller, notes);
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
  std::unique_ptr<ModelReplicas::Lease> model = models_.Take(kInfoKey);
  if (model == nullptr) return FinishUnary(context, NoModel());
  auto* const call =
      new InfoCall(*context, models_, monitor_.backends(), *std::move(pass), *response);
  call->Start(request->tensors(), std::move(model));
  return call;
}

}  // namespace llama
