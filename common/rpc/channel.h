#ifndef LLAMA_COMMON_RPC_CHANNEL_H_
#define LLAMA_COMMON_RPC_CHANNEL_H_

#include <memory>
#include <string>

#include "grpcpp/channel.h"
#include "grpcpp/security/credentials.h"

namespace llama {

// A channel to `target`, any gRPC target ("localhost:50051", "dns:///tokenizer:50051"), with this
// project's keepalive, limits (4 MiB messages), quick reconnection (backoff at most 2 s) and, over
// several addresses, round_robin. Connects when first used.
std::shared_ptr<grpc::Channel> CreateChannel(const std::string& target,
                                             const std::shared_ptr<grpc::ChannelCredentials>&
                                                 credentials = grpc::InsecureChannelCredentials());

}  // namespace llama

#endif  // LLAMA_COMMON_RPC_CHANNEL_H_
