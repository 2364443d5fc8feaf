#ifndef LLAMA_SERVICES_GATEWAY_REQUEST_CHECKS_H_
#define LLAMA_SERVICES_GATEWAY_REQUEST_CHECKS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "llama/v1/gateway_service.pb.h"

namespace llama {

// Compares the request with services/limits, before any service is asked; what depends on the model
// is left to it. `max_prompt_bytes`: the tokenizer's. Errors: INVALID_ARGUMENT (FIELD_INVALID;
// PROMPT_TOO_LONG), as those services would put them.
absl::Status CheckGenerateRequest(const v1::GenerateRequest& request, int64_t max_prompt_bytes);

}  // namespace llama

#endif  // LLAMA_SERVICES_GATEWAY_REQUEST_CHECKS_H_
