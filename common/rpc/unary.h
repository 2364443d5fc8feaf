#ifndef LLAMA_COMMON_RPC_UNARY_H_
#define LLAMA_COMMON_RPC_UNARY_H_

#include <utility>

#include "absl/status/status.h"
#include "common/rpc/grpc_status.h"
#include "common/rpc/serving_gate.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/server_callback.h"

namespace llama {

// Ends a unary rpc that is refused or answered within its handler, and holds no pass:
// `return FinishUnary(context, status);`.
inline grpc::ServerUnaryReactor* FinishUnary(grpc::CallbackServerContext* context,
                                             const absl::Status& status) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  reactor->Finish(ToGrpcStatus(status));
  return reactor;
}

// The same with a pass, which the call holds until gRPC is done with it. gRPC sends the answer when
// the handler has returned: a server that drains waits for it.
inline grpc::ServerUnaryReactor* FinishUnary(ServingGate::Pass pass, const absl::Status& status) {
  class Answered final : public grpc::ServerUnaryReactor {
   public:
    Answered(ServingGate::Pass pass, const grpc::Status& status) : pass_(std::move(pass)) {
      Finish(status);
    }

   private:
    void OnDone() override { delete this; }

    const ServingGate::Pass pass_;
  };
  return new Answered(std::move(pass), ToGrpcStatus(status));
}

}  // namespace llama

#endif  // LLAMA_COMMON_RPC_UNARY_H_
