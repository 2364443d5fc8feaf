#ifndef LLAMA_SERVICES_TOKENIZER_TOKENIZER_H_
#define LLAMA_SERVICES_TOKENIZER_TOKENIZER_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/tokenizer/chat_format.h"
#include "services/tokenizer/offsets.h"
#include "services/tokenizer/stream_decoder.h"
#include "services/tokenizer/vocabulary.h"

namespace llama {

// Most bytes, of text and raw together, that a list of ids is decoded to: they go into one message.
inline constexpr size_t kMaxDecodedBytes = 4'000'000;

enum class ControlText { kLiteral, kReject };

struct EncodeOptions {
  bool add_bos = true;  // Of a completion; chat always has it.
  bool offsets = false;
  OffsetUnit offset_unit = OffsetUnit::kByte;
  ControlText control_text = ControlText::kLiteral;
};

struct RoleSpan {
  Role role = Role::kUnspecified;  // kUnspecified: the scaffold between messages.
  Range ids;                       // Half-open range of indices into Encoding::ids.
};

struct Encoding {
  std::vector<TokenId> ids;
  std::vector<Range> offsets;        // One per id, in rendered; if asked for.
  std::string rendered;              // The text that the ids stand for.
  std::vector<RoleSpan> role_spans;  // Of a chat: cover the ids from first to last.
};

// A vocabulary with its rules. Immutable: thread-safe.
class Tokenizer {
 public:
  // `path`: a tokenizer.model. Errors name the file: those of ReadFile() and Vocabulary::Parse().
  static absl::StatusOr<std::unique_ptr<const Tokenizer>> Load(const std::string& path,
                                                               int64_t max_prompt_bytes);

  // <s>, then `text` verbatim. Errors: INVALID_ARGUMENT (PROMPT_TOO_LONG).
  absl::StatusOr<Encoding> EncodeText(absl::string_view text, const EncodeOptions& options) const;
  // A dialogue in the chat format. Text of a message never becomes a control token. Errors:
  // INVALID_ARGUMENT (PROMPT_TOO_LONG; FIELD_INVALID; CONTROL_TEXT).
  absl::StatusOr<Encoding> EncodeChat(std::span<const ChatMessage> messages,
                                      const EncodeOptions& options) const;
  // What was encoded elsewhere: the ids as they are, with their text. Errors: INVALID_ARGUMENT
  // (FIELD_INVALID): no ids, more than max_prompt_bytes(), or one that is outside the vocabulary;
  // (PROMPT_TOO_LONG): their text is too long.
  absl::StatusOr<Encoding> EncodeIds(std::span<const TokenId> ids,
                                     const EncodeOptions& options) const;

  // Errors: OUT_OF_RANGE (TOKEN_ID); INVALID_ARGUMENT (FIELD_INVALID): more than kMaxDecodedBytes.
  absl::StatusOr<DecodedText> Decode(std::span<const TokenId> ids, bool keep_leading_space) const;

  const Vocabulary& vocabulary() const { return *vocabulary_; }
  // SHA-256 of the file, lower-case hexadecimal.
  const std::string& digest() const { return digest_; }
  int64_t max_prompt_bytes() const { return max_prompt_bytes_; }

 private:
  Tokenizer(std::unique_ptr<const Vocabulary> vocabulary, std::string digest,
            int64_t max_prompt_bytes);
  void Append(absl::string_view text, const EncodeOptions& options, Encoding& encoding) const;
  static void AppendControl(TokenId id, Encoding& encoding);

  const std::unique_ptr<const Vocabulary> vocabulary_;
  const std::string digest_;
  const int64_t max_prompt_bytes_;
};

}  // namespace llama

#endif  // LLAMA_SERVICES_TOKENIZER_TOKENIZER_H_
