#ifndef LLAMA_SERVICES_MODEL_REQUEST_MESSAGES_H_
#define LLAMA_SERVICES_MODEL_REQUEST_MESSAGES_H_

#include "absl/status/statusor.h"
#include "grpcpp/server_context.h"
#include "llama/v1/model_service.pb.h"
#include "services/model/engine/request.h"

namespace llama {

// What the engine gets of a request. Errors: INVALID_ARGUMENT (FIELD_INVALID) for what the engine's
// form cannot express; CheckRequest() has the rest.
absl::StatusOr<GenerateRequest> FromProto(const v1::ModelServiceGenerateRequest& in,
                                          const grpc::CallbackServerContext& context);
ScoreRequest FromProto(const v1::ScoreRequest& in, const grpc::CallbackServerContext& context);

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_REQUEST_MESSAGES_H_
