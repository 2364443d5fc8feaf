#include "services/tokenizer/tokenizer_service.h"

#include <utility>

#include "common/rpc/lockstep_stream.h"
#include "common/rpc/unary.h"
#include "services/tokenizer/tokenizer_messages.h"

namespace llama {
namespace {

class DecodeStreamCall final
    : public LockstepStream<v1::DecodeStreamRequest, v1::DecodeStreamResponse> {
 public:
  DecodeStreamCall(const Tokenizer& tokenizer, ServingGate::Pass pass)
      : pass_(std::move(pass)), conversation_(tokenizer) {}

 private:
  absl::Status Answer(const v1::DecodeStreamRequest& request,
                      v1::DecodeStreamResponse& response) override {
    return conversation_.Answer(request, response);
  }
  absl::Status AnswerHalfClose(v1::DecodeStreamResponse& response) override {
    conversation_.AnswerEnd(response);
    return absl::OkStatus();
  }

  const ServingGate::Pass pass_;
  DecodeConversation conversation_;
};

// A stream that was not let in.
class RefusedStream final
    : public grpc::ServerBidiReactor<v1::DecodeStreamRequest, v1::DecodeStreamResponse> {
 public:
  explicit RefusedStream(const absl::Status& status) { Finish(ToGrpcStatus(status)); }

 private:
  void OnDone() override { delete this; }
};

}  // namespace

template <typename Answer>
grpc::ServerUnaryReactor* TokenizerServiceImpl::AnswerUnary(grpc::CallbackServerContext* context,
                                                            Answer answer) {
  const absl::StatusOr<ServingGate::Pass> pass = gate_.Enter();
  return FinishUnary(context, pass.ok() ? answer(*tokenizer_.load()) : pass.status());
}

grpc::ServerUnaryReactor* TokenizerServiceImpl::Encode(grpc::CallbackServerContext* context,
                                                       const v1::EncodeRequest* request,
                                                       v1::EncodeResponse* response) {
  return AnswerUnary(context, [&](const Tokenizer& tokenizer) {
    return AnswerEncode(tokenizer, *request, *response);
  });
}

grpc::ServerUnaryReactor* TokenizerServiceImpl::Decode(grpc::CallbackServerContext* context,
                                                       const v1::DecodeRequest* request,
                                                       v1::DecodeResponse* response) {
  return AnswerUnary(context, [&](const Tokenizer& tokenizer) {
    return AnswerDecode(tokenizer, *request, *response);
  });
}

grpc::ServerBidiReactor<v1::DecodeStreamRequest, v1::DecodeStreamResponse>*
TokenizerServiceImpl::DecodeStream(grpc::CallbackServerContext*) {
  absl::StatusOr<ServingGate::Pass> pass = gate_.Enter();
  if (!pass.ok()) return new RefusedStream(pass.status());
  return new DecodeStreamCall(*tokenizer_.load(), *std::move(pass));
}

grpc::ServerUnaryReactor* TokenizerServiceImpl::GetTokenizerInfo(
    grpc::CallbackServerContext* context, const v1::GetTokenizerInfoRequest*,
    v1::GetTokenizerInfoResponse* response) {
  return AnswerUnary(context, [&](const Tokenizer& tokenizer) {
    AnswerGetTokenizerInfo(tokenizer, *response);
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* TokenizerServiceImpl::ListTokens(grpc::CallbackServerContext* context,
                                                           const v1::ListTokensRequest* request,
                                                           v1::ListTokensResponse* response) {
  return AnswerUnary(context, [&](const Tokenizer& tokenizer) {
    return AnswerListTokens(tokenizer, *request, *response);
  });
}

}  // namespace llama
