// Every request message of the services, as bytes: what is parsed is answered or refused in words
// that name a field. The first byte chooses the rpc.
#include "common/status_details.h"
#include "google/rpc/error_details.pb.h"
#include "services/gateway/request_checks.h"
#include "services/model/engine/request_validation.h"
#include "services/model/request_messages.h"
#include "services/tokenizer/tokenizer_messages.h"
#include "tests/fuzz/fuzzing.h"

namespace llama {
namespace {

constexpr int64_t kMaxPromptBytes = 200;  // Within an input's reach.
constexpr ModelLimits kLimits = {.vocab_size = 512, .context_length = 256};

template <typename Message>
std::optional<Message> Parse(absl::string_view bytes) {
  Message message;
  if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return std::nullopt;
  return message;
}

// A refusal is one of the caller's, with a reason; FIELD_INVALID names the field.
void CheckRefusal(const absl::Status& status) {
  if (status.ok()) return;
  FUZZ_CHECK(absl::IsInvalidArgument(status) || absl::IsOutOfRange(status));
  const std::string reason = GetReason(status);
  FUZZ_CHECK(!reason.empty());
  if (reason == "FIELD_INVALID") {
    const auto request = GetDetail<google::rpc::BadRequest>(status);
    FUZZ_CHECK(request.has_value() && request->field_violations_size() == 1);
    FUZZ_CHECK(!request->field_violations(0).field().empty());
  }
}

template <typename Response>
void CheckAnswer(const absl::Status& status, const Response& response) {
  CheckRefusal(status);
  FUZZ_CHECK(response.ByteSizeLong() <= 4 << 20);
  // Text fields hold valid UTF-8, or the client could not read the message.
  if (status.ok()) FUZZ_CHECK(Parse<Response>(response.SerializeAsString()).has_value());
}

void Gateway(absl::string_view bytes) {
  if (const auto request = Parse<v1::GenerateRequest>(bytes)) {
    CheckRefusal(CheckGenerateRequest(*request, kMaxPromptBytes));
  }
}

void Generate(absl::string_view bytes) {
  const auto request = Parse<v1::ModelServiceGenerateRequest>(bytes);
  if (!request.has_value()) return;
  const grpc::CallbackServerContext context;  // Of no call.
  const auto converted = FromProto(*request, context);
  CheckRefusal(converted.status());
  if (!converted.ok()) return;
  const auto limit = CheckRequest(*converted, kLimits);
  CheckRefusal(limit.status());
  if (!limit.ok()) return;
  const auto prompt = static_cast<int64_t>(converted->prompt.size());
  FUZZ_CHECK(prompt >= 1 && limit->max_tokens >= 1);
  FUZZ_CHECK(prompt + limit->max_tokens <= kLimits.context_length);
  for (const TokenId id : converted->prompt) FUZZ_CHECK(id < 512);
}

void Score(absl::string_view bytes) {
  const auto request = Parse<v1::ScoreRequest>(bytes);
  if (!request.has_value()) return;
  const grpc::CallbackServerContext context;
  CheckRefusal(CheckRequest(FromProto(*request, context), kLimits));
}

void Encode(const Tokenizer& tokenizer, absl::string_view bytes) {
  const auto request = Parse<v1::EncodeRequest>(bytes);
  if (!request.has_value()) return;
  v1::EncodeResponse response;
  CheckAnswer(AnswerEncode(tokenizer, *request, response), response);
}

void Decode(const Tokenizer& tokenizer, absl::string_view bytes) {
  const auto request = Parse<v1::DecodeRequest>(bytes);
  if (!request.has_value()) return;
  v1::DecodeResponse response;
  CheckAnswer(AnswerDecode(tokenizer, *request, response), response);
}

// Two requests of one stream, the same bytes.
void DecodeStream(const Tokenizer& tokenizer, absl::string_view bytes) {
  const auto request = Parse<v1::DecodeStreamRequest>(bytes);
  if (!request.has_value()) return;
  DecodeConversation conversation(tokenizer);
  for (int i = 0; i < 2; ++i) {
    v1::DecodeStreamResponse response;
    const absl::Status status = conversation.Answer(*request, response);
    if (!status.ok()) return CheckRefusal(status);
    CheckAnswer(status, response);
  }
  v1::DecodeStreamResponse end;
  conversation.AnswerEnd(end);
  CheckAnswer(absl::OkStatus(), end);
}

void ListTokens(const Tokenizer& tokenizer, absl::string_view bytes) {
  const auto request = Parse<v1::ListTokensRequest>(bytes);
  if (!request.has_value()) return;
  v1::ListTokensResponse response;
  CheckAnswer(AnswerListTokens(tokenizer, *request, response), response);
}

// Requests with nothing to check: of one flag, or empty.
void Questions(absl::string_view bytes) {
  (void)Parse<v1::GetInfoRequest>(bytes);
  (void)Parse<v1::GetModelInfoRequest>(bytes);
  (void)Parse<v1::GetLoadRequest>(bytes);
  (void)Parse<v1::GetComputePlanRequest>(bytes);
  (void)Parse<v1::GetTokenizerInfoRequest>(bytes);
}

}  // namespace
}  // namespace llama

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace llama;
  fuzzing::Input input(data, size);
  const uint8_t choice = input.Byte();
  const Tokenizer& tokenizer = fuzzing::GetTokenizer((choice & 0x80) != 0 ? 1 : 0);
  switch (choice % 8) {
    case 0:
      Gateway(input.rest());
      break;
    case 1:
      Generate(input.rest());
      break;
    case 2:
      Score(input.rest());
      break;
    case 3:
      Encode(tokenizer, input.rest());
      break;
    case 4:
      Decode(tokenizer, input.rest());
      break;
    case 5:
      DecodeStream(tokenizer, input.rest());
      break;
    case 6:
      ListTokens(tokenizer, input.rest());
      break;
    default:
      Questions(input.rest());
  }
  return 0;
}
