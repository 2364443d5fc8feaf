#ifndef LLAMA_TESTS_SERVICES_GATEWAY_GATEWAY_UNDER_TEST_H_
#define LLAMA_TESTS_SERVICES_GATEWAY_GATEWAY_UNDER_TEST_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "common/mutex.h"
#include "common/rpc/channel.h"
#include "common/rpc/grpc_status.h"
#include "common/rpc/server.h"
#include "llama/v1/gateway_service.grpc.pb.h"
#include "services/gateway/backend_monitor.h"
#include "services/gateway/call_admission.h"
#include "services/gateway/gateway_service.h"
#include "services/gateway/model_addresses.h"
#include "services/gateway/model_replicas.h"
#include "services/gateway/stub_pool.h"

namespace llama {

// A gateway over TCP, put together as its program does it.
class GatewayUnderTest {
 public:
  GatewayUnderTest(const std::string& tokenizer, const std::string& model,
                   const ServerOptions& options = {}, const CallAdmissionOptions& admission = {})
      : admission_(admission),
        tokenizers_(tokenizer),
        models_(ModelAddresses::Create(model).value()),
        monitor_(tokenizers_.first(), models_, gate_,
                 [this](bool ready) {
                   MutexLock lock(&mutex_);
                   ++looks_;
                   ready_ = ready;
                   if (server_ != nullptr) server_->SetReady(ready);
                 }),
        service_(tokenizers_, models_, monitor_, gate_, admission_) {
    auto server = Server::Start(options, {{"llama.v1.GatewayService", &service_}}, gate_).value();
    stub_ = v1::GatewayService::NewStub(CreateChannel(server->address()));
    MutexLock lock(&mutex_);
    server_ = std::move(server);
    server_->SetReady(ready_);
  }

  ~GatewayUnderTest() { server_->Drain(); }

  // Whether the gateway found its backends ready, or not, before long.
  bool Await(bool ready) {
    MutexLock lock(&mutex_);
    return mutex_.AwaitUntil(
        [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return looks_ > 0 && ready_ == ready; },
        absl::Now() + absl::Seconds(20));
  }
  // Whether all calls are over before long.
  bool AwaitEmpty() { return gate_.WaitUntilEmpty(absl::Now() + absl::Seconds(20)); }

  v1::GatewayService::Stub& stub() { return *stub_; }
  int64_t model_connections() const { return models_.connections(); }
  Server& server() { return *server_; }
  ServingGate& gate() { return gate_; }
  CallAdmission& admission() { return admission_; }

 private:
  ServingGate gate_;
  CallAdmission admission_;
  Mutex mutex_;
  int64_t looks_ ABSL_GUARDED_BY(mutex_) = 0;
  bool ready_ ABSL_GUARDED_BY(mutex_) = false;
  StubPool<v1::TokenizerService> tokenizers_;
  ModelReplicas models_;
  std::unique_ptr<Server> server_;  // The monitor tells it; drained before the service goes.
  BackendMonitor monitor_;
  GatewayServiceImpl service_;
  std::unique_ptr<v1::GatewayService::Stub> stub_;
};

// One Generate call, whole.
struct Reply {
  std::vector<v1::GenerateResponse> messages;
  absl::Status status;

  std::string text() const {
    std::string all;
    for (const v1::GenerateResponse& message : messages) all += message.delta().text();
    return all;
  }
  std::vector<uint32_t> tokens() const {
    std::vector<uint32_t> all;
    for (const v1::GenerateResponse& message : messages) {
      for (const v1::Token& token : message.delta().tokens()) all.push_back(token.id());
    }
    return all;
  }
  // Of the last message.
  const v1::Finished& finished() const { return messages.back().finished(); }
};

inline Reply Generate(v1::GatewayService::Stub& stub, const v1::GenerateRequest& request) {
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(30)));
  const auto reader = stub.Generate(&context, request);
  Reply reply;
  for (v1::GenerateResponse message; reader->Read(&message);) reply.messages.push_back(message);
  reply.status = FromGrpcStatus(reader->Finish());
  return reply;
}

inline v1::GenerateRequest TextRequest(const std::vector<std::string>& stops = {}) {
  v1::GenerateRequest request;
  request.mutable_prompt()->set_text("text");
  for (const std::string& stop : stops) request.mutable_stopping()->add_stop_sequences(stop);
  return request;
}

}  // namespace llama

#endif  // LLAMA_TESTS_SERVICES_GATEWAY_GATEWAY_UNDER_TEST_H_
