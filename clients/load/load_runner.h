#ifndef LLAMA_CLIENTS_LOAD_LOAD_RUNNER_H_
#define LLAMA_CLIENTS_LOAD_LOAD_RUNNER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "clients/load/load_call.h"
#include "clients/load/load_plan.h"
#include "grpcpp/security/credentials.h"

namespace llama {

struct LoadRun {
  std::vector<CallResult> results;  // In the order in which they ended.
  absl::Duration duration;
};

// Connections to one gateway.
struct LoadTarget {
  std::string address;
  std::shared_ptr<grpc::ChannelCredentials> credentials = grpc::InsecureChannelCredentials();
};

// Calls the gateway as planned, over as many connections as the clients need, which are open when
// the time begins to count; returns when all calls have ended.
LoadRun RunLoad(const LoadTarget& target, const LoadOptions& options,
                const std::vector<PlannedRequest>& plan);

}  // namespace llama

#endif  // LLAMA_CLIENTS_LOAD_LOAD_RUNNER_H_
