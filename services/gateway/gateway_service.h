#ifndef LLAMA_SERVICES_GATEWAY_GATEWAY_SERVICE_H_
#define LLAMA_SERVICES_GATEWAY_GATEWAY_SERVICE_H_

#include "common/rpc/serving_gate.h"
#include "llama/v1/gateway_service.grpc.pb.h"
#include "services/gateway/backend_monitor.h"
#include "services/gateway/call_admission.h"
#include "services/gateway/model_replicas.h"
#include "services/gateway/relay.h"
#include "services/gateway/stub_pool.h"

namespace llama {

// llama.v1.GatewayService over a tokenizer and the replicas of a model service. Thread-safe.
class GatewayServiceImpl final : public v1::GatewayService::CallbackService {
 public:
  // All must outlive the server. The gate lets calls in only once the monitor has found the
  // backends.
  GatewayServiceImpl(StubPool<v1::TokenizerService>& tokenizers, ModelReplicas& models,
                     const BackendMonitor& monitor, ServingGate& gate, CallAdmission& admission)
      : tokenizers_(tokenizers),
        models_(models),
        monitor_(monitor),
        gate_(gate),
        admission_(admission) {}

  grpc::ServerWriteReactor<v1::GenerateResponse>* Generate(
      grpc::CallbackServerContext* context, const v1::GenerateRequest* request) override;
  grpc::ServerUnaryReactor* GetInfo(grpc::CallbackServerContext* context,
                                    const v1::GetInfoRequest* request,
                                    v1::GetInfoResponse* response) override;

 private:
  StubPool<v1::TokenizerService>& tokenizers_;
  ModelReplicas& models_;
  const BackendMonitor& monitor_;
  ServingGate& gate_;
  CallAdmission& admission_;
};

}  // namespace llama

#endif  // LLAMA_SERVICES_GATEWAY_GATEWAY_SERVICE_H_
