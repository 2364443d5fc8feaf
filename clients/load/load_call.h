#ifndef LLAMA_CLIENTS_LOAD_LOAD_CALL_H_
#define LLAMA_CLIENTS_LOAD_LOAD_CALL_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "clients/load/load_plan.h"
#include "llama/v1/gateway_service.grpc.pb.h"

namespace llama {

// What one call saw.
struct CallResult {
  int64_t kind = 0;
  absl::Status status = {};
  bool cancelled = false;  // By this client.
  bool finished = false;   // Finished came.
  std::vector<uint32_t> ids = {};
  absl::Duration total = {};  // From the time at which it was due, as are all of these.
  std::optional<absl::Duration> first_token = {};
  // The time between two messages, shared evenly among the tokens of the later one.
  std::vector<absl::Duration> gaps = {};
  int64_t cached_prompt_tokens = 0;
  int64_t prompt_tokens = 0;
};

// Calls Generate; `done` is called once, on a thread of gRPC's, with what the call saw. `due` is
// when it should have begun. The call owns itself.
void StartCall(v1::GatewayService::Stub& stub, const PlannedRequest& planned,
               absl::Duration deadline, absl::Time due, std::function<void(CallResult)> done);

}  // namespace llama

#endif  // LLAMA_CLIENTS_LOAD_LOAD_CALL_H_
