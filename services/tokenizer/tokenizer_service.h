#ifndef LLAMA_SERVICES_TOKENIZER_TOKENIZER_SERVICE_H_
#define LLAMA_SERVICES_TOKENIZER_TOKENIZER_SERVICE_H_

#include <atomic>

#include "common/rpc/serving_gate.h"
#include "llama/v1/tokenizer_service.grpc.pb.h"
#include "services/tokenizer/tokenizer.h"

namespace llama {

// llama.v1.TokenizerService over a Tokenizer: translates, decides nothing. Thread-safe.
class TokenizerServiceImpl final : public v1::TokenizerService::CallbackService {
 public:
  // `gate` must outlive the server.
  explicit TokenizerServiceImpl(ServingGate& gate) : gate_(gate) {}

  // Before the gate is set to serving; `tokenizer` must outlive the server.
  void SetTokenizer(const Tokenizer* tokenizer) { tokenizer_ = tokenizer; }

  grpc::ServerUnaryReactor* Encode(grpc::CallbackServerContext* context,
                                   const v1::EncodeRequest* request,
                                   v1::EncodeResponse* response) override;
  grpc::ServerUnaryReactor* Decode(grpc::CallbackServerContext* context,
                                   const v1::DecodeRequest* request,
                                   v1::DecodeResponse* response) override;
  grpc::ServerBidiReactor<v1::DecodeStreamRequest, v1::DecodeStreamResponse>* DecodeStream(
      grpc::CallbackServerContext* context) override;
  grpc::ServerUnaryReactor* GetTokenizerInfo(grpc::CallbackServerContext* context,
                                             const v1::GetTokenizerInfoRequest* request,
                                             v1::GetTokenizerInfoResponse* response) override;
  grpc::ServerUnaryReactor* ListTokens(grpc::CallbackServerContext* context,
                                       const v1::ListTokensRequest* request,
                                       v1::ListTokensResponse* response) override;

 private:
  // Answers with `answer(tokenizer)`, once the gate has let the call in.
  template <typename Answer>
  grpc::ServerUnaryReactor* AnswerUnary(grpc::CallbackServerContext* context, Answer answer);

  ServingGate& gate_;
  std::atomic<const Tokenizer*> tokenizer_ = nullptr;
};

}  // namespace llama

#endif  // LLAMA_SERVICES_TOKENIZER_TOKENIZER_SERVICE_H_
