#ifndef LLAMA_COMMON_RPC_CHANNEL_H_
#define LLAMA_COMMON_RPC_CHANNEL_H_

#include <memory>
#include <string>

#include "grpcpp/channel.h"
#include "grpcpp/security/credentials.h"

namespace llama {

struct ChannelOptions {
  // What the server's certificate must name, where that is not the target: "model:50052".
  std::string authority = {};
  // Full name of the service that is called: a call of it that ends UNAVAILABLE before the first
  // response is tried again, on another address if there are several; 3 times in all.
  std::string retried_service = {};
  // Leave out addresses where grpc.health.v1 says that `retried_service` is not SERVING. The call
  // does not learn why then.
  bool checks_health = false;
};

// A channel to `target`, any gRPC target ("localhost:50051", "dns:///tokenizer:50051"), with this
// project's keepalive, limits (4 MiB messages), quick reconnection (backoff at most 2 s) and, over
// several addresses, round_robin. Connects when first used.
std::shared_ptr<grpc::Channel> CreateChannel(const std::string& target,
                                             const std::shared_ptr<grpc::ChannelCredentials>&
                                                 credentials = grpc::InsecureChannelCredentials(),
                                             const ChannelOptions& options = {});

}  // namespace llama

#endif  // LLAMA_COMMON_RPC_CHANNEL_H_
