#include "tests/clients/console/fake_gateway.h"

#include <chrono>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace llama {

FakeGateway::FakeGateway() {
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(this);
  server_ = builder.BuildAndStart();
  address_ = absl::StrCat("127.0.0.1:", port);
}

FakeGateway::~FakeGateway() { Kill(); }

void FakeGateway::Kill() {
  server_->Shutdown(std::chrono::system_clock::now());
  server_->Wait();
}

void FakeGateway::SetScript(Script script) {
  MutexLock lock(&mutex_);
  script_ = std::move(script);
}

void FakeGateway::FailInfo(std::vector<grpc::Status> statuses) {
  MutexLock lock(&mutex_);
  info_failures_ = std::move(statuses);
}

std::vector<v1::GenerateRequest> FakeGateway::requests() const {
  MutexLock lock(&mutex_);
  return requests_;
}

void FakeGateway::AwaitEnded(size_t calls) {
  MutexLock lock(&mutex_, [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return ended_ >= calls; });
}

grpc::Status FakeGateway::GetInfo(grpc::ServerContext*, const v1::GetInfoRequest* request,
                                  v1::GetInfoResponse* response) {
  {
    MutexLock lock(&mutex_);
    if (!info_failures_.empty()) {
      grpc::Status status = info_failures_.front();
      info_failures_.erase(info_failures_.begin());
      return status;
    }
  }
  v1::GetModelInfoResponse& model = *response->mutable_model();
  model.mutable_model()->set_name("tiny");
  model.set_architecture("Llama");
  model.set_format("PyTorch checkpoint");
  model.set_parameter_count(1000);
  model.set_weight_bytes(2000);
  model.set_context_length(256);
  model.mutable_dimensions()->set_n_layers(5);
  response->mutable_tokenizer()->set_vocabulary_size(512);
  response->mutable_compute_plan()->set_instruction_set("scalar");
  response->mutable_compute_plan()->set_threads(2);
  if (request->tensors()) {
    v1::TensorInfo& tensor = *model.add_tensors();
    tensor.set_name("norm.weight");
    tensor.set_data_type(v1::DATA_TYPE_BF16);
    tensor.add_shape(64);
  }
  return grpc::Status::OK;
}

grpc::Status FakeGateway::Generate(grpc::ServerContext* context, const v1::GenerateRequest* request,
                                   Writer* writer) {
  Script script;
  {
    MutexLock lock(&mutex_);
    requests_.push_back(*request);
    script = script_;
  }
  const grpc::Status status = script(*context, *request, *writer);
  MutexLock lock(&mutex_);
  ++ended_;
  return status;
}

v1::GenerateResponse Accepted(int64_t prompt_tokens, int64_t max_tokens) {
  v1::GenerateResponse response;
  v1::Accepted& accepted = *response.mutable_accepted()->mutable_accepted();
  accepted.set_prompt_tokens(prompt_tokens);
  accepted.set_max_tokens(max_tokens);
  return response;
}

v1::GenerateResponse Word(const std::string& text) {
  v1::GenerateResponse response;
  v1::Delta& delta = *response.mutable_delta();
  delta.set_text(text);
  v1::Token& token = *delta.add_tokens();
  token.set_id(42);
  token.set_piece(text);
  token.set_spelling(text);
  token.set_logprob(-0.5);
  token.set_rank(1);
  return response;
}

v1::GenerateResponse Byte(char byte, const std::string& text, const std::string& held) {
  v1::GenerateResponse response;
  v1::Delta& delta = *response.mutable_delta();
  delta.set_text(text);
  delta.set_held(held);
  v1::Token& token = *delta.add_tokens();
  token.set_piece(std::string(1, byte));
  token.set_spelling(absl::StrFormat("<0x%02X>", static_cast<uint8_t>(byte)));
  return response;
}

std::vector<v1::GenerateResponse> Bytes(const std::string& character) {
  std::vector<v1::GenerateResponse> messages;
  for (size_t i = 0; i < character.size(); ++i) {
    const bool last = i + 1 == character.size();
    messages.push_back(
        Byte(character[i], last ? character : "", last ? "" : character.substr(0, i + 1)));
  }
  return messages;
}

v1::GenerateResponse Done(v1::FinishReason reason) {
  v1::GenerateResponse response;
  v1::Finished& finished = *response.mutable_finished();
  finished.set_reason(reason);
  finished.mutable_usage()->set_completion_tokens(3);
  finished.mutable_timings()->mutable_time_to_first_token()->set_nanos(410'000'000);
  finished.mutable_timings()->set_decode_tokens_per_second(12.4);
  return response;
}

FakeGateway::Script Say(std::vector<v1::GenerateResponse> messages) {
  return [messages = std::move(messages)](grpc::ServerContext&, const v1::GenerateRequest&,
                                          FakeGateway::Writer& writer) {
    for (const v1::GenerateResponse& message : messages) writer.Write(message);
    return grpc::Status::OK;
  };
}

FakeGateway::Script SayAndWait(std::vector<v1::GenerateResponse> messages) {
  return [messages = std::move(messages)](grpc::ServerContext& context, const v1::GenerateRequest&,
                                          FakeGateway::Writer& writer) {
    for (const v1::GenerateResponse& message : messages) writer.Write(message);
    // The synchronous API has nothing to wait on.
    while (!context.IsCancelled()) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    return grpc::Status::CANCELLED;
  };
}

}  // namespace llama
