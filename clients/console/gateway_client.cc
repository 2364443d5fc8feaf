#include "clients/console/gateway_client.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/rpc/channel.h"
#include "common/rpc/grpc_status.h"
#include "common/status_details.h"

namespace llama {
namespace {

constexpr absl::Duration kConnectTimeout = absl::Seconds(5);
constexpr absl::Duration kLoadingInterval = absl::Milliseconds(300);

// Nothing answers, or another service does.
bool MeansNoGateway(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) ||
         absl::IsUnimplemented(status);
}

}  // namespace

GatewayClient::GatewayClient(std::string address,
                             const std::shared_ptr<grpc::ChannelCredentials>& credentials)
    : address_(std::move(address)),
      stub_(v1::GatewayService::NewStub(llama::CreateChannel(address_, credentials))) {}

absl::StatusOr<v1::GetInfoResponse> GatewayClient::GetInfo(
    bool tensors, const std::function<void(int64_t)>& on_loading) {
  while (true) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + kConnectTimeout));
    v1::GetInfoRequest request;
    request.set_tensors(tensors);
    v1::GetInfoResponse response;
    const absl::Status status = FromGrpcStatus(stub_->GetInfo(&context, request, &response));
    if (status.ok()) return response;
    if (GetReason(status) == "LOADING") {
      int64_t percent = 0;
      const google::rpc::ErrorInfo info = GetDetail<google::rpc::ErrorInfo>(status).value();
      const auto found = info.metadata().find("percent");
      if (found == info.metadata().end() || !absl::SimpleAtoi(found->second, &percent)) percent = 0;
      on_loading(std::clamp<int64_t>(percent, 0, 100));
      absl::SleepFor(kLoadingInterval);
      continue;
    }
    if (!GetReason(status).empty() || !MeansNoGateway(status)) return status;
    return absl::UnavailableError(absl::StrCat(
        "no gateway answers at ", address_,
        ": start lnb-tokenizer, lnb-model and lnb-gateway (deploy/quickstart.sh does), or name "
        "another with --gateway (",
        status.message().empty() ? absl::StatusCodeToString(status.code()) : status.message(),
        ")"));
  }
}

absl::Status GatewayClient::Generate(
    const v1::GenerateRequest& request,
    const std::function<bool(const v1::GenerateResponse&)>& on_response) {
  grpc::ClientContext context;
  {
    MutexLock lock(&mutex_);
    running_ = &context;
  }
  const auto reader = stub_->Generate(&context, request);
  v1::GenerateResponse response;
  bool wanted = true;
  // gRPC gives the status only once everything is read.
  while (reader->Read(&response)) {
    if (wanted && !on_response(response)) {
      wanted = false;
      context.TryCancel();
    }
  }
  const grpc::Status status = reader->Finish();
  MutexLock lock(&mutex_);
  running_ = nullptr;
  return FromGrpcStatus(status);
}

bool GatewayClient::Cancel() {
  MutexLock lock(&mutex_);
  if (running_ == nullptr) return false;
  std::exchange(running_, nullptr)->TryCancel();
  return true;
}

}  // namespace llama
