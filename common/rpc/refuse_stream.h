#ifndef LLAMA_COMMON_RPC_REFUSE_STREAM_H_
#define LLAMA_COMMON_RPC_REFUSE_STREAM_H_

#include "absl/status/status.h"
#include "common/rpc/grpc_status.h"
#include "grpcpp/support/server_callback.h"

namespace llama {

// Ends a server-streaming rpc that is refused within its handler, without what a ServerStream
// takes: `return RefuseStream<Response>(status);`.
template <typename Response>
grpc::ServerWriteReactor<Response>* RefuseStream(const absl::Status& status) {
  class Refusal final : public grpc::ServerWriteReactor<Response> {
   public:
    explicit Refusal(const grpc::Status& status) { this->Finish(status); }

   private:
    void OnDone() override { delete this; }
  };
  return new Refusal(ToGrpcStatus(status));
}

}  // namespace llama

#endif  // LLAMA_COMMON_RPC_REFUSE_STREAM_H_
