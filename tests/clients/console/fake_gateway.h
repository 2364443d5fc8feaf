#ifndef LLAMA_TESTS_CLIENTS_CONSOLE_FAKE_GATEWAY_H_
#define LLAMA_TESTS_CLIENTS_CONSOLE_FAKE_GATEWAY_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "common/mutex.h"
#include "grpcpp/grpcpp.h"
#include "llama/v1/gateway_service.grpc.pb.h"

namespace llama {

// A scripted gateway on a loopback port.
class FakeGateway final : public v1::GatewayService::Service {
 public:
  using Writer = grpc::ServerWriter<v1::GenerateResponse>;
  // What Generate does.
  using Script = std::function<grpc::Status(grpc::ServerContext& context,
                                            const v1::GenerateRequest& request, Writer& writer)>;

  FakeGateway();
  ~FakeGateway() override;

  const std::string& address() const { return address_; }
  void SetScript(Script script);
  // What GetInfo answers first, once each.
  void FailInfo(std::vector<grpc::Status> statuses);
  // Cuts every connection and closes the port.
  void Kill();

  std::vector<v1::GenerateRequest> requests() const;
  // Waits until this many calls of Generate have ended.
  void AwaitEnded(size_t calls);

  grpc::Status GetInfo(grpc::ServerContext* context, const v1::GetInfoRequest* request,
                       v1::GetInfoResponse* response) override;
  grpc::Status Generate(grpc::ServerContext* context, const v1::GenerateRequest* request,
                        Writer* writer) override;

 private:
  std::string address_;
  std::unique_ptr<grpc::Server> server_;
  mutable Mutex mutex_;
  Script script_ ABSL_GUARDED_BY(mutex_);
  std::vector<grpc::Status> info_failures_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::GenerateRequest> requests_ ABSL_GUARDED_BY(mutex_);
  size_t ended_ ABSL_GUARDED_BY(mutex_) = 0;
};

// Messages of a stream.
v1::GenerateResponse Accepted(int64_t prompt_tokens, int64_t max_tokens);
// A word, which is a token.
v1::GenerateResponse Word(const std::string& text);
// One byte token; `text`: what it completes; `held`: what waits with it.
v1::GenerateResponse Byte(char byte, const std::string& text, const std::string& held);
// The byte tokens of a character, which comes with the last.
std::vector<v1::GenerateResponse> Bytes(const std::string& character);
v1::GenerateResponse Done(v1::FinishReason reason);

// Writes the messages.
FakeGateway::Script Say(std::vector<v1::GenerateResponse> messages);
// Writes the messages, then nothing until the call is cancelled.
FakeGateway::Script SayAndWait(std::vector<v1::GenerateResponse> messages);

}  // namespace llama

#endif  // LLAMA_TESTS_CLIENTS_CONSOLE_FAKE_GATEWAY_H_
