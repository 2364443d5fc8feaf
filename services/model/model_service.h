#ifndef LLAMA_SERVICES_MODEL_MODEL_SERVICE_H_
#define LLAMA_SERVICES_MODEL_MODEL_SERVICE_H_

#include <atomic>

#include "common/rpc/serving_gate.h"
#include "llama/v1/model_service.grpc.pb.h"
#include "services/model/served_model.h"

namespace llama {

// llama.v1.ModelService over a ServedModel: translates, decides nothing. Thread-safe.
class ModelServiceImpl final : public v1::ModelService::CallbackService {
 public:
  // `gate` must outlive the server.
  explicit ModelServiceImpl(ServingGate& gate) : gate_(gate) {}

  // Before the gate is set to serving; `model` must outlive the server.
  void SetModel(ServedModel* model) { model_ = model; }

  grpc::ServerWriteReactor<v1::ModelServiceGenerateResponse>* Generate(
      grpc::CallbackServerContext* context,
      const v1::ModelServiceGenerateRequest* request) override;
  grpc::ServerWriteReactor<v1::ScoreResponse>* Score(grpc::CallbackServerContext* context,
                                                     const v1::ScoreRequest* request) override;
  grpc::ServerUnaryReactor* GetModelInfo(grpc::CallbackServerContext* context,
                                         const v1::GetModelInfoRequest* request,
                                         v1::GetModelInfoResponse* response) override;
  grpc::ServerUnaryReactor* GetLoad(grpc::CallbackServerContext* context,
                                    const v1::GetLoadRequest* request,
                                    v1::GetLoadResponse* response) override;
  grpc::ServerUnaryReactor* GetComputePlan(grpc::CallbackServerContext* context,
                                           const v1::GetComputePlanRequest* request,
                                           v1::GetComputePlanResponse* response) override;

 private:
  // Calls answer(model) once the gate has let the call in.
  template <typename Answer>
  grpc::ServerUnaryReactor* AnswerUnary(grpc::CallbackServerContext* context, Answer answer);

  ServingGate& gate_;
  std::atomic<ServedModel*> model_ = nullptr;
};

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_MODEL_SERVICE_H_
