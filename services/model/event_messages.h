#ifndef LLAMA_SERVICES_MODEL_EVENT_MESSAGES_H_
#define LLAMA_SERVICES_MODEL_EVENT_MESSAGES_H_

#include "llama/v1/model_service.pb.h"
#include "services/model/engine/request.h"
#include "services/model/served_model.h"

namespace llama {

v1::ModelIdentity Identity(const ServedModel& model);

// Writes one of the engine's events to the message that tells of it. `model` is for Accepted. An
// event that the rpc does not have writes nothing.
void WriteEvent(const ServedModel& model, const Event& event,
                v1::ModelServiceGenerateResponse& out);
void WriteEvent(const ServedModel& model, const Event& event, v1::ScoreResponse& out);

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_EVENT_MESSAGES_H_
