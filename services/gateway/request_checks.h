#ifndef LLAMA_SERVICES_GATEWAY_REQUEST_CHECKS_H_
#define LLAMA_SERVICES_GATEWAY_REQUEST_CHECKS_H_

#include "absl/status/status.h"
#include "llama/v1/gateway_service.pb.h"

namespace llama {

// Checks what only the gateway knows of: request_id and stop_sequences. The rest is checked by the
// services behind it. Errors: INVALID_ARGUMENT (FIELD_INVALID).
absl::Status CheckGenerateRequest(const v1::GenerateRequest& request);

}  // namespace llama

#endif  // LLAMA_SERVICES_GATEWAY_REQUEST_CHECKS_H_
