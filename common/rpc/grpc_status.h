#ifndef LLAMA_COMMON_RPC_GRPC_STATUS_H_
#define LLAMA_COMMON_RPC_GRPC_STATUS_H_

#include <string>

#include "absl/status/status.h"
#include "grpcpp/support/status.h"

// The one place where abseil's statuses become gRPC's and back.
namespace llama {

// Between the two kinds of status; details of all types, known or not, are kept.
grpc::Status ToGrpcStatus(const absl::Status& status);
absl::Status FromGrpcStatus(const grpc::Status& status);

// The reason of the status's ErrorInfo; empty if it has none. GetReason() of FromGrpcStatus(), but
// for every call of a server.
std::string ReasonOf(const grpc::Status& status);

}  // namespace llama

#endif  // LLAMA_COMMON_RPC_GRPC_STATUS_H_
