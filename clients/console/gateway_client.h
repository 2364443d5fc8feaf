#ifndef LLAMA_CLIENTS_CONSOLE_GATEWAY_CLIENT_H_
#define LLAMA_CLIENTS_CONSOLE_GATEWAY_CLIENT_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/mutex.h"
#include "grpcpp/security/credentials.h"
#include "llama/v1/gateway_service.grpc.pb.h"

namespace llama {

// Blocking calls to one gateway. Cancel() is thread-safe; the rest is for one thread.
class GatewayClient {
 public:
  explicit GatewayClient(std::string address,
                         const std::shared_ptr<grpc::ChannelCredentials>& credentials =
                             grpc::InsecureChannelCredentials());

  // Waits while the gateway loads, telling `on_loading` the percentage, 0 to 100. Errors:
  // UNAVAILABLE, with the address and what to do, if it cannot be reached; those of the rpc.
  absl::StatusOr<v1::GetInfoResponse> GetInfo(bool tensors,
                                              const std::function<void(int64_t)>& on_loading);
  // Hands every message to `on_response`, until that returns false, which cancels the call. Returns
  // the call's status: CANCELLED after either.
  absl::Status Generate(const v1::GenerateRequest& request,
                        const std::function<bool(const v1::GenerateResponse&)>& on_response);
  // Cancels the Generate() under way. False if there is none, or it was cancelled before.
  bool Cancel();

 private:
  const std::string address_;
  const std::unique_ptr<v1::GatewayService::Stub> stub_;
  Mutex mutex_;
  grpc::ClientContext* running_ ABSL_GUARDED_BY(mutex_) = nullptr;
};

}  // namespace llama

#endif  // LLAMA_CLIENTS_CONSOLE_GATEWAY_CLIENT_H_
