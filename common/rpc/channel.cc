#include "common/rpc/channel.h"

#include "absl/strings/str_cat.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"

namespace llama {
namespace {

std::string ServiceConfig(const ChannelOptions& options) {
  const std::string health = options.checks_health
                                 ? absl::StrCat(R"("healthCheckConfig": {"serviceName": ")",
                                                options.retried_service, R"("}, )")
                                 : "";
  return absl::StrCat(R"({"loadBalancingConfig": [{"round_robin": {}}], )", health,
                      R"("methodConfig": [{"name": [{"service": ")", options.retried_service,
                      R"("}], "retryPolicy": {"maxAttempts": 3, "initialBackoff": "0.05s", )",
                      R"("maxBackoff": "0.2s", "backoffMultiplier": 2, )",
                      R"("retryableStatusCodes": ["UNAVAILABLE"]}}]})");
}

}  // namespace

std::shared_ptr<grpc::Channel> CreateChannel(
    const std::string& target, const std::shared_ptr<grpc::ChannelCredentials>& credentials,
    const ChannelOptions& options) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(4 << 20);
  arguments.SetLoadBalancingPolicyName("round_robin");
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1'000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 2'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 10'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 5'000);
  // Any number of pings while this side has nothing to send: else the third would wait for that,
  // and who waits for an answer would not notice that its peer has vanished.
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // A stream's window stays at 64 KiB. Probing would let it grow to megabytes, which is what a
  // server then computes ahead for a reader that has stopped, and this process keeps for it.
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  // Each channel its own connections: calls of one do not wait behind the limits of another's.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  if (!options.authority.empty())
    arguments.SetString(GRPC_ARG_DEFAULT_AUTHORITY, options.authority);
  if (!options.retried_service.empty()) arguments.SetServiceConfigJSON(ServiceConfig(options));
  return grpc::CreateCustomChannel(target, credentials, arguments);
}

}  // namespace llama
