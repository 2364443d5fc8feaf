#ifndef LLAMA_CLIENTS_LOAD_LOAD_RUNNER_H_
#define LLAMA_CLIENTS_LOAD_LOAD_RUNNER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "clients/load/load_call.h"
#include "clients/load/load_plan.h"

namespace llama {

struct LoadRun {
  std::vector<CallResult> results;  // In the order in which they ended.
  absl::Duration duration;
};

// Calls the gateway at `address` as planned, over as many connections as the clients need; returns
// when all calls have ended.
LoadRun RunLoad(const std::string& address, const LoadOptions& options,
                const std::vector<PlannedRequest>& plan);

}  // namespace llama

#endif  // LLAMA_CLIENTS_LOAD_LOAD_RUNNER_H_
