#include "services/gateway/gateway_service.h"

#include <memory>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/rpc/unary.h"
#include "common/status_macros.h"
#include "services/gateway/backend_status.h"
#include "services/gateway/request_checks.h"

namespace llama {
namespace {

std::string PickRequestId() {
  std::random_device device;
  return absl::StrCat(absl::Hex(uint64_t{device()} << 32 | device(), absl::kZeroPad16));
}

// A unary call to the model on behalf of one to the gateway.
struct InfoCall {
  InfoCall(ServingGate::Pass entered, std::shared_ptr<const Backends> known)
      : pass(std::move(entered)), backends(std::move(known)) {}

  ServingGate::Pass pass;
  std::shared_ptr<const Backends> backends;
  grpc::ClientContext context;
  v1::GetModelInfoRequest request;
};

}  // namespace

grpc::ServerWriteReactor<v1::GenerateResponse>* GatewayServiceImpl::Generate(
    grpc::CallbackServerContext* context, const v1::GenerateRequest* request) {
  absl::StatusOr<ServingGate::Pass> pass = gate_.Enter();
  const absl::Status status = pass.ok() ? CheckGenerateRequest(*request) : pass.status();
  if (!status.ok()) {
    const auto stream = Relay::Stream::Create(context, {}, [] {});
    stream->Finish(status);
    return stream.get();
  }
  v1::GenerateRequest named = *request;
  if (named.request_id().empty()) named.set_request_id(PickRequestId());
  const auto relay = std::make_shared<Relay>(stubs_, named, monitor_.backends(),
                                             absl::FromChrono(context->deadline()));
  // The relay owns the stream, so that the stream only knows of the relay. The call is over when
  // both are: the stream's end may wait for its client when the relay has nothing more to do.
  const auto stream =
      Relay::Stream::Create(context, {},
                            [weak = std::weak_ptr<Relay>(relay),
                             entered = std::make_shared<ServingGate::Pass>(*std::move(pass))] {
                              if (const std::shared_ptr<Relay> alive = weak.lock())
                                alive->OnClientChange();
                            });
  relay->Start(stream);
  return stream.get();
}

grpc::ServerUnaryReactor* GatewayServiceImpl::GetInfo(grpc::CallbackServerContext* context,
                                                      const v1::GetInfoRequest* request,
                                                      v1::GetInfoResponse* response) {
  absl::StatusOr<ServingGate::Pass> pass = gate_.Enter();
  if (!pass.ok()) return FinishUnary(context, pass.status());
  const auto call = std::make_shared<InfoCall>(*std::move(pass), monitor_.backends());
  call->request.set_tensors(request->tensors());
  call->context.set_deadline(context->deadline());
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  stubs_.model.async()->GetModelInfo(
      &call->context, &call->request, response->mutable_model(),
      [call, reactor, response](const grpc::Status& status) {
        *response->mutable_tokenizer() = call->backends->tokenizer;
        response->mutable_model()->mutable_model()->set_tokenizer_digest(
            call->backends->tokenizer.digest());
        reactor->Finish(status.ok() ? status : ToGrpcStatus(BackendFailed("model", status)));
      });
  return reactor;
}

}  // namespace llama
