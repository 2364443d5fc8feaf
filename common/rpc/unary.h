#ifndef LLAMA_COMMON_RPC_UNARY_H_
#define LLAMA_COMMON_RPC_UNARY_H_

#include "absl/status/status.h"
#include "common/rpc/grpc_status.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/server_callback.h"

namespace llama {

// Ends a unary rpc that is answered within its handler: `return FinishUnary(context, status);`.
inline grpc::ServerUnaryReactor* FinishUnary(grpc::CallbackServerContext* context,
                                             const absl::Status& status) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  reactor->Finish(ToGrpcStatus(status));
  return reactor;
}

}  // namespace llama

#endif  // LLAMA_COMMON_RPC_UNARY_H_
