#ifndef LLAMA_SERVICES_TOKENIZER_TOKENIZER_MESSAGES_H_
#define LLAMA_SERVICES_TOKENIZER_TOKENIZER_MESSAGES_H_

#include <optional>

#include "absl/status/status.h"
#include "llama/v1/tokenizer_service.pb.h"
#include "services/tokenizer/tokenizer.h"

// What TokenizerService answers, message for message: no gRPC. Each fills `response`, which is
// empty; errors are those listed at the rpc in tokenizer_service.proto.
namespace llama {

absl::Status AnswerEncode(const Tokenizer& tokenizer, const v1::EncodeRequest& request,
                          v1::EncodeResponse& response);
absl::Status AnswerDecode(const Tokenizer& tokenizer, const v1::DecodeRequest& request,
                          v1::DecodeResponse& response);
absl::Status AnswerListTokens(const Tokenizer& tokenizer, const v1::ListTokensRequest& request,
                              v1::ListTokensResponse& response);
void AnswerGetTokenizerInfo(const Tokenizer& tokenizer, v1::GetTokenizerInfoResponse& response);

// One DecodeStream. The tokenizer must outlive it. Thread-compatible.
class DecodeConversation {
 public:
  explicit DecodeConversation(const Tokenizer& tokenizer) : vocabulary_(tokenizer.vocabulary()) {}

  absl::Status Answer(const v1::DecodeStreamRequest& request, v1::DecodeStreamResponse& response);
  // The answer to the half-close.
  void AnswerEnd(v1::DecodeStreamResponse& response);

 private:
  const Vocabulary& vocabulary_;
  std::optional<StreamDecoder> decoder_;  // From the first request on, which has its options.
};

}  // namespace llama

#endif  // LLAMA_SERVICES_TOKENIZER_TOKENIZER_MESSAGES_H_
