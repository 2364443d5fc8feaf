#ifndef LLAMA_COMMON_RPC_CALL_RECORD_H_
#define LLAMA_COMMON_RPC_CALL_RECORD_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace llama {

// What is known of a call when it is over: for the log, and for metrics. What others chose
// (request_id, caller, method) is of bounded length and may hold any bytes; never text of a prompt
// or a reply.
struct CallRecord {
  std::string method = {};  // "llama.v1.ModelService/Generate"; one that is not served, too.
  // A health check, a question to the reflection, or another service looking whether this one is
  // there: comes every second and tells nothing.
  bool is_probe = false;
  std::string request_id = {};  // Joins the records of one call in all services; never empty.
  std::string peer = {};        // "ipv4:127.0.0.1:40404"; empty if it was refused for its token.
  std::string caller = {};      // Whose call it is: CallerOf().
  absl::StatusCode code = absl::StatusCode::kUnknown;
  std::string reason = {};  // ErrorInfo's: "QUEUE_FULL"; empty if there is none.
  absl::Time received = absl::InfinitePast();
  absl::Duration total = absl::ZeroDuration();  // From receipt until gRPC is done with the call.
  // Where it is known, which depends on the method and on how far the call came.
  std::optional<absl::Duration> queue = {};
  std::optional<absl::Duration> first_token = {};  // From receipt.
  std::optional<int64_t> prompt_tokens = {};
  std::optional<int64_t> cached_prompt_tokens = {};
  std::optional<int64_t> completion_tokens = {};
};

// Gets each call's record once, at its end, on any thread. Must not block.
using CallObserver = std::function<void(const CallRecord&)>;

}  // namespace llama

#endif  // LLAMA_COMMON_RPC_CALL_RECORD_H_
