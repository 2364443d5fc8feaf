#ifndef LLAMA_SERVICES_GATEWAY_PROBE_CONTEXT_H_
#define LLAMA_SERVICES_GATEWAY_PROBE_CONTEXT_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/rpc/call_context.h"
#include "grpcpp/client_context.h"
#include "services/gateway/backend_status.h"

namespace llama {

// How long a service may take to say that it is there.
inline constexpr absl::Duration kProbeTimeout = absl::Milliseconds(1500);

// For a call that only asks whether a service is there, and what it serves.
inline void SetUpProbe(grpc::ClientContext& context) {
  context.set_deadline(absl::ToChronoTime(absl::Now() + kProbeTimeout));
  context.AddMetadata(kProbeMetadata, "1");
}

// As BackendFailed(); a service that does not answer in time is as good as not there.
inline absl::Status ProbeFailed(absl::string_view backend, const grpc::Status& status) {
  if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
    return BackendFailed(backend, grpc::Status(grpc::StatusCode::UNAVAILABLE, "no answer in time"));
  }
  return BackendFailed(backend, status);
}

}  // namespace llama

#endif  // LLAMA_SERVICES_GATEWAY_PROBE_CONTEXT_H_
