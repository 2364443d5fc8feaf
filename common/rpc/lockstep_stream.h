#ifndef LLAMA_COMMON_RPC_LOCKSTEP_STREAM_H_
#define LLAMA_COMMON_RPC_LOCKSTEP_STREAM_H_

#include "absl/status/status.h"
#include "common/rpc/grpc_status.h"
#include "grpcpp/support/server_callback.h"

namespace llama {

// The server's end of a bidirectional rpc that answers each request with one response, in order,
// and the client's half-close with a last one. Reads the next request only when the response is
// sent, so it needs no queue and no lock.
//
// Derive from it per rpc and return a new one from the handler; it deletes itself when the call is
// over. Its methods are called one at a time, on gRPC's threads, and must not block.
template <typename Request, typename Response>
class LockstepStream : public grpc::ServerBidiReactor<Request, Response> {
 public:
  LockstepStream() { this->StartRead(&request_); }

 protected:
  // Fills `response`, which is empty. An error ends the stream in its place.
  virtual absl::Status Answer(const Request& request, Response& response) = 0;
  // The same for the half-close. Also called when the client has cancelled; the response then goes
  // nowhere.
  virtual absl::Status AnswerHalfClose(Response& response) = 0;

 private:
  void OnReadDone(bool ok) final {
    response_.Clear();
    const absl::Status status = ok ? Answer(request_, response_) : AnswerHalfClose(response_);
    if (!status.ok()) {
      this->Finish(ToGrpcStatus(status));
    } else if (ok) {
      this->StartWrite(&response_);
    } else {
      this->StartWriteAndFinish(&response_, grpc::WriteOptions(), grpc::Status::OK);
    }
  }
  void OnWriteDone(bool ok) final {
    if (ok) {
      this->StartRead(&request_);
    } else {
      this->Finish(grpc::Status::CANCELLED);
    }
  }
  void OnDone() final { delete this; }

  Request request_;
  Response response_;
};

}  // namespace llama

#endif  // LLAMA_COMMON_RPC_LOCKSTEP_STREAM_H_
