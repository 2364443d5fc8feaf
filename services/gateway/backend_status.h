#ifndef LLAMA_SERVICES_GATEWAY_BACKEND_STATUS_H_
#define LLAMA_SERVICES_GATEWAY_BACKEND_STATUS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "grpcpp/support/status.h"

namespace llama {

// Whether a call of ours, not cancelled by us, failed because its server is not there, drains, or
// ended before it looked at the call: gRPC cancels what has only just arrived then.
bool IsAway(const grpc::Status& status);

// What a failed call to a backend means to the gateway's client. What the services themselves say
// passes unchanged, but for field paths, which become those of the client's message; a passed
// deadline too. Otherwise the backend is not there: UNAVAILABLE (BACKEND_UNREACHABLE).
// `backend`: "tokenizer" or "model".
absl::Status BackendFailed(absl::string_view backend, const grpc::Status& status);

// UNAVAILABLE (BACKEND_UNREACHABLE): no replica of the model is used now.
absl::Status NoModel();

// The same as BackendFailed() once a reply is under way: UNAVAILABLE (BACKEND_LOST) with how many
// tokens were streamed.
absl::Status BackendLost(absl::string_view backend, const grpc::Status& status, int64_t tokens);

}  // namespace llama

#endif  // LLAMA_SERVICES_GATEWAY_BACKEND_STATUS_H_
