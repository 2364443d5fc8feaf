#ifndef LLAMA_SERVICES_MODEL_ENGINE_REQUEST_VALIDATION_H_
#define LLAMA_SERVICES_MODEL_ENGINE_REQUEST_VALIDATION_H_

#include <cstdint>
#include <limits>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/model/engine/request.h"

namespace llama {

struct ModelLimits {
  int64_t vocab_size = 0;
  int64_t context_length = 0;
  // Positions that the KV cache holds. They end a reply whose request sets no limit, as the context
  // does; one that sets a limit beyond them is refused at admission.
  int64_t cache_tokens = std::numeric_limits<int64_t>::max();
};

// How long a reply may become.
struct ReplyLimit {
  int64_t max_tokens = 0;                          // At least 1.
  FinishReason reason = FinishReason::kMaxTokens;  // When it is reached.
};

// Compares the request with the ranges that common.proto and model_service.proto state. Errors:
// INVALID_ARGUMENT (FIELD_INVALID with the field's path in ModelServiceGenerateRequest, what was
// expected and found; CONTEXT_LENGTH_EXCEEDED).
absl::StatusOr<ReplyLimit> CheckRequest(const GenerateRequest& request, const ModelLimits& limits);
absl::Status CheckRequest(const ScoreRequest& request, const ModelLimits& limits);

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_ENGINE_REQUEST_VALIDATION_H_
