#include "services/tokenizer/tokenizer_service.h"

#include <memory>
#include <utility>

#include "common/rpc/call_context.h"
#include "common/rpc/lockstep_stream.h"
#include "common/rpc/unary.h"
#include "common/status_macros.h"
#include "services/tokenizer/tokenizer_messages.h"

namespace llama {
namespace {

class DecodeStreamCall final
    : public LockstepStream<v1::DecodeStreamRequest, v1::DecodeStreamResponse> {
 public:
  DecodeStreamCall(const Tokenizer& tokenizer, ServingGate::Pass pass,
                   std::shared_ptr<CallNotes> notes)
      : pass_(std::move(pass)), notes_(std::move(notes)), conversation_(tokenizer) {}

 private:
  absl::Status Answer(const v1::DecodeStreamRequest& request,
                      v1::DecodeStreamResponse& response) override {
    RETURN_IF_ERROR(conversation_.Answer(request, response));
    notes_->AddCompletionTokens(request.ids_size());
    return absl::OkStatus();
  }
  absl::Status AnswerHalfClose(v1::DecodeStreamResponse& response) override {
    conversation_.AnswerEnd(response);
    return absl::OkStatus();
  }

  const ServingGate::Pass pass_;
  const std::shared_ptr<CallNotes> notes_;
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
  absl::StatusOr<ServingGate::Pass> pass = gate_.Enter();
  if (!pass.ok()) return FinishUnary(context, pass.status());
  return FinishUnary(*std::move(pass), answer(*tokenizer_.load()));
}

grpc::ServerUnaryReactor* TokenizerServiceImpl::Encode(grpc::CallbackServerContext* context,
                                                       const v1::EncodeRequest* request,
                                                       v1::EncodeResponse* response) {
  return AnswerUnary(context, [&](const Tokenizer& tokenizer) {
    RETURN_IF_ERROR(AnswerEncode(tokenizer, *request, *response));
    NotesOf(*context)->SetPromptTokens(response->ids_size());
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* TokenizerServiceImpl::Decode(grpc::CallbackServerContext* context,
                                                       const v1::DecodeRequest* request,
                                                       v1::DecodeResponse* response) {
  return AnswerUnary(context, [&](const Tokenizer& tokenizer) {
    RETURN_IF_ERROR(AnswerDecode(tokenizer, *request, *response));
    NotesOf(*context)->SetCompletionTokens(request->ids_size());
    return absl::OkStatus();
  });
}

grpc::ServerBidiReactor<v1::DecodeStreamRequest, v1::DecodeStreamResponse>*
TokenizerServiceImpl::DecodeStream(grpc::CallbackServerContext* context) {
  absl::StatusOr<ServingGate::Pass> pass = gate_.Enter();
  if (!pass.ok()) return new RefusedStream(pass.status());
  return new DecodeStreamCall(*tokenizer_.load(), *std::move(pass), NotesOf(*context));
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
