#include "services/tokenizer/tokenizer_messages.h"

#include <algorithm>
#include <span>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/status_details.h"
#include "common/status_macros.h"
#include "services/limits/request_limits.h"

namespace llama {
namespace {

constexpr int64_t kDefaultPageSize = 1'000;
// Keeps a page of long pieces well below the limit of a message.
constexpr size_t kMaxPageBytes = size_t{1} << 20;
// Clients take messages of 4 MiB.
constexpr size_t kMaxResponseBytes = 4'000'000;
// Each takes some 30 bytes of a response.
constexpr size_t kMaxReportedTokens = 65'536;

std::span<const TokenId> FromProto(const google::protobuf::RepeatedField<uint32_t>& ids) {
  return {ids.data(), static_cast<size_t>(ids.size())};
}

Role FromProto(v1::Role role) {
  switch (role) {
    case v1::ROLE_SYSTEM:
      return Role::kSystem;
    case v1::ROLE_USER:
      return Role::kUser;
    case v1::ROLE_ASSISTANT:
      return Role::kAssistant;
    default:
      return Role::kUnspecified;
  }
}

v1::Role ToProto(Role role) {
  switch (role) {
    case Role::kSystem:
      return v1::ROLE_SYSTEM;
    case Role::kUser:
      return v1::ROLE_USER;
    case Role::kAssistant:
      return v1::ROLE_ASSISTANT;
    case Role::kUnspecified:
      return v1::ROLE_UNSPECIFIED;
  }
  return v1::ROLE_UNSPECIFIED;
}

v1::TokenType ToProto(PieceType type) {
  switch (type) {
    case PieceType::kNormal:
      return v1::TOKEN_TYPE_NORMAL;
    case PieceType::kUnknown:
      return v1::TOKEN_TYPE_UNKNOWN;
    case PieceType::kControl:
      return v1::TOKEN_TYPE_CONTROL;
    case PieceType::kUserDefined:
      return v1::TOKEN_TYPE_USER_DEFINED;
    case PieceType::kUnused:
      return v1::TOKEN_TYPE_UNUSED;
    case PieceType::kByte:
      return v1::TOKEN_TYPE_BYTE;
  }
  return v1::TOKEN_TYPE_UNSPECIFIED;
}

void FillToken(const Vocabulary& vocabulary, TokenId id, v1::Token& token) {
  token.set_id(id);
  token.set_piece(vocabulary.piece(id).bytes);
  token.set_spelling(vocabulary.piece(id).spelling);
}

absl::StatusOr<EncodeOptions> OptionsFrom(const v1::EncodeRequest& request) {
  EncodeOptions options{.add_bos = !request.has_add_bos() || request.add_bos(),
                        .offsets = request.tokens()};
  switch (request.offset_unit()) {
    case v1::OFFSET_UNIT_UNSPECIFIED:
    case v1::OFFSET_UNIT_BYTE:
      break;
    case v1::OFFSET_UNIT_CODE_POINT:
      options.offset_unit = OffsetUnit::kCodePoint;
      break;
    case v1::OFFSET_UNIT_UTF16:
      options.offset_unit = OffsetUnit::kUtf16;
      break;
    default:
      return FieldInvalid("offset_unit",
                          absl::StrCat("unknown unit ", static_cast<int>(request.offset_unit())));
  }
  switch (request.control_text()) {
    case v1::CONTROL_TEXT_POLICY_UNSPECIFIED:
    case v1::CONTROL_TEXT_POLICY_LITERAL:
      break;
    case v1::CONTROL_TEXT_POLICY_REJECT:
      options.control_text = ControlText::kReject;
      break;
    default:
      return FieldInvalid("control_text", absl::StrCat("unknown policy ",
                                                       static_cast<int>(request.control_text())));
  }
  return options;
}

absl::StatusOr<Encoding> EncodePrompt(const Tokenizer& tokenizer, const v1::Prompt& prompt,
                                      const EncodeOptions& options) {
  switch (prompt.input_case()) {
    case v1::Prompt::kText:
      return tokenizer.EncodeText(prompt.text(), options);
    case v1::Prompt::kChat: {
      std::vector<ChatMessage> messages;
      for (const v1::ChatMessage& message : prompt.chat().messages()) {
        messages.push_back({FromProto(message.role()), message.content()});
      }
      return tokenizer.EncodeChat(messages, options);
    }
    case v1::Prompt::kTokenIds:
      return tokenizer.EncodeIds(FromProto(prompt.token_ids().ids()), options);
    case v1::Prompt::INPUT_NOT_SET:
      break;
  }
  return FieldInvalid("prompt", "expected text, chat or token_ids");
}

}  // namespace

absl::Status AnswerEncode(const Tokenizer& tokenizer, const v1::EncodeRequest& request,
                          v1::EncodeResponse& response) {
  ASSIGN_OR_RETURN(const EncodeOptions options, OptionsFrom(request));
  ASSIGN_OR_RETURN(Encoding encoding, EncodePrompt(tokenizer, request.prompt(), options));
  if (options.offsets && encoding.ids.size() > kMaxReportedTokens) {
    return FieldInvalid(
        "tokens", absl::StrCat("expected a prompt of at most ", kMaxReportedTokens,
                               " tokens where they are reported, found ", encoding.ids.size()));
  }
  response.mutable_ids()->Add(encoding.ids.begin(), encoding.ids.end());
  for (size_t i = 0; i < encoding.offsets.size(); ++i) {
    v1::EncodedToken& token = *response.add_tokens();
    FillToken(tokenizer.vocabulary(), encoding.ids[i], *token.mutable_token());
    token.set_begin(encoding.offsets[i].begin);
    token.set_end(encoding.offsets[i].end);
  }
  response.set_rendered_prompt(std::move(encoding.rendered));
  response.add_eos_token_ids(tokenizer.vocabulary().eos());
  for (const RoleSpan& span : encoding.role_spans) {
    v1::RoleSpan& out = *response.add_role_spans();
    out.set_role(ToProto(span.role));
    out.set_begin(span.ids.begin);
    out.set_end(span.ids.end);
  }
  if (const size_t bytes = response.ByteSizeLong(); bytes > kMaxResponseBytes) {
    response.Clear();
    return MakeStatus(absl::StatusCode::kInvalidArgument, "PROMPT_TOO_LONG",
                      absl::StrCat("the answer would have ", bytes, " bytes, expected at most ",
                                   kMaxResponseBytes),
                      {{"bytes", absl::StrCat(bytes)}, {"limit", absl::StrCat(kMaxResponseBytes)}});
  }
  return absl::OkStatus();
}

absl::Status AnswerDecode(const Tokenizer& tokenizer, const v1::DecodeRequest& request,
                          v1::DecodeResponse& response) {
  ASSIGN_OR_RETURN(DecodedText decoded,
                   tokenizer.Decode(FromProto(request.ids()), request.keep_leading_space()));
  response.set_text(std::move(decoded.text));
  response.set_raw(std::move(decoded.raw));
  return absl::OkStatus();
}

absl::Status AnswerListTokens(const Tokenizer& tokenizer, const v1::ListTokensRequest& request,
                              v1::ListTokensResponse& response) {
  const int64_t page_size = request.page_size() == 0 ? kDefaultPageSize : request.page_size();
  RETURN_IF_ERROR(CheckLimit(kPageSize, page_size));
  const Vocabulary& vocabulary = tokenizer.vocabulary();
  uint32_t id = 0;
  if (!request.page_token().empty() &&
      (!absl::SimpleAtoi(request.page_token(), &id) || id >= vocabulary.size())) {
    return FieldInvalid("page_token", "expected one that an earlier response had");
  }
  const auto end = std::min<size_t>(vocabulary.size(), id + static_cast<size_t>(page_size));
  for (size_t bytes = 0; id < end && bytes < kMaxPageBytes; ++id) {
    const Piece& piece = vocabulary.piece(id);
    v1::VocabularyEntry& entry = *response.add_entries();
    entry.set_id(id);
    entry.set_spelling(piece.spelling);
    entry.set_piece(piece.bytes);
    entry.set_score(piece.score);
    entry.set_type(ToProto(piece.type));
    bytes += piece.spelling.size() + piece.bytes.size();
  }
  if (id < vocabulary.size()) response.set_next_page_token(absl::StrCat(id));
  return absl::OkStatus();
}

void AnswerGetTokenizerInfo(const Tokenizer& tokenizer, v1::GetTokenizerInfoResponse& response) {
  response.set_format(v1::TOKENIZER_FORMAT_SENTENCEPIECE_BPE);
  response.set_vocabulary_size(static_cast<int64_t>(tokenizer.vocabulary().size()));
  response.set_bos_token_id(tokenizer.vocabulary().bos());
  response.add_eos_token_ids(tokenizer.vocabulary().eos());
  response.set_unknown_token_id(tokenizer.vocabulary().unknown());
  response.set_digest(tokenizer.digest());
  response.set_max_prompt_bytes(tokenizer.max_prompt_bytes());
}

absl::Status DecodeConversation::Answer(const v1::DecodeStreamRequest& request,
                                        v1::DecodeStreamResponse& response) {
  RETURN_IF_ERROR(CheckLimit(kStreamIds, request.ids_size()));
  if (!decoder_.has_value()) decoder_.emplace(vocabulary_, request.keep_leading_space());
  DecodedText decoded;
  RETURN_IF_ERROR(decoder_->Push(FromProto(request.ids()), decoded));
  for (const TokenId id : request.ids()) FillToken(vocabulary_, id, *response.add_tokens());
  response.set_text(std::move(decoded.text));
  response.set_held(decoder_->held());
  return absl::OkStatus();
}

void DecodeConversation::AnswerEnd(v1::DecodeStreamResponse& response) {
  DecodedText decoded;
  if (decoder_.has_value()) decoder_->Flush(decoded);
  response.set_text(std::move(decoded.text));
}

}  // namespace llama
