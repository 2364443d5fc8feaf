#ifndef LLAMA_COMMON_RPC_CLIENT_SECURITY_FLAGS_H_
#define LLAMA_COMMON_RPC_CLIENT_SECURITY_FLAGS_H_

#include <memory>

#include "absl/status/statusor.h"
#include "grpcpp/security/credentials.h"

namespace llama {

// As --ca, --certificate, --key and --token say. Errors: those of MakeChannelCredentials().
absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> ChannelCredentialsFromFlags();

}  // namespace llama

#endif  // LLAMA_COMMON_RPC_CLIENT_SECURITY_FLAGS_H_
