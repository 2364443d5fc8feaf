#include "services/tokenizer/tokenizer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/read_file.h"
#include "common/sha256.h"
#include "common/status_details.h"
#include "common/status_macros.h"
#include "services/tokenizer/bpe_encoder.h"

namespace llama {
namespace {

// Groups the ids by the message whose content they hold. `offsets` are byte ranges.
std::vector<RoleSpan> FindRoleSpans(std::span<const ChatMessage> messages,
                                    const std::vector<Range>& contents,
                                    const std::vector<Range>& offsets) {
  std::vector<RoleSpan> spans;
  const auto count = static_cast<int64_t>(offsets.size());
  const auto append = [&spans](Role role, int64_t begin, int64_t end) {
    if (role != Role::kUnspecified || begin < end) spans.push_back({role, {begin, end}});
  };
  int64_t id = 0;
  for (size_t i = 0; i < messages.size(); ++i) {
    int64_t begin = id;
    while (begin < count && offsets[begin].end <= contents[i].begin) ++begin;
    int64_t end = begin;
    while (end < count && offsets[end].begin < contents[i].end) ++end;
    append(Role::kUnspecified, id, begin);
    append(messages[i].role, begin, end);
    id = end;
  }
  append(Role::kUnspecified, id, count);
  return spans;
}

}  // namespace

absl::StatusOr<std::unique_ptr<const Tokenizer>> Tokenizer::Load(const std::string& path,
                                                                 int64_t max_prompt_bytes) {
  ASSIGN_OR_RETURN(const std::string file, ReadFile(path, kMaxVocabularyFileBytes));
  ASSIGN_OR_RETURN(std::unique_ptr<const Vocabulary> vocabulary, Vocabulary::Parse(file, path));
  return std::unique_ptr<const Tokenizer>(
      new Tokenizer(std::move(vocabulary), Sha256Hex(file), max_prompt_bytes));
}

Tokenizer::Tokenizer(std::unique_ptr<const Vocabulary> vocabulary, std::string digest,
                     int64_t max_prompt_bytes)
    : vocabulary_(std::move(vocabulary)),
      digest_(std::move(digest)),
      max_prompt_bytes_(max_prompt_bytes) {}

absl::Status Tokenizer::CheckLength(int64_t bytes) const {
  if (bytes <= max_prompt_bytes_) return absl::OkStatus();
  return MakeStatus(
      absl::StatusCode::kInvalidArgument, "PROMPT_TOO_LONG",
      absl::StrCat("the prompt has ", bytes, " bytes, expected at most ", max_prompt_bytes_),
      {{"bytes", absl::StrCat(bytes)}, {"limit", absl::StrCat(max_prompt_bytes_)}});
}

void Tokenizer::Append(absl::string_view text, const EncodeOptions& options,
                       Encoding& encoding) const {
  std::vector<TextToken> tokens;
  EncodeBpe(*vocabulary_, NormalizeText(*vocabulary_, text), tokens);
  for (const TextToken& token : tokens) encoding.ids.push_back(token.id);
  if (options.offsets) {
    const auto start = static_cast<int64_t>(encoding.rendered.size());
    for (const Range& range : ByteRanges(text, vocabulary_->add_dummy_prefix(), tokens)) {
      encoding.offsets.push_back({start + range.begin, start + range.end});
    }
  }
  absl::StrAppend(&encoding.rendered, text);
}

void Tokenizer::AppendControl(TokenId id, Encoding& encoding) const {
  encoding.ids.push_back(id);
  const auto here = static_cast<int64_t>(encoding.rendered.size());
  encoding.offsets.push_back({here, here});
}

absl::StatusOr<Encoding> Tokenizer::EncodeText(absl::string_view text,
                                               const EncodeOptions& options) const {
  RETURN_IF_ERROR(CheckLength(static_cast<int64_t>(text.size())));
  Encoding encoding;
  if (options.add_bos) AppendControl(vocabulary_->bos(), encoding);
  Append(text, options, encoding);
  if (!options.offsets) encoding.offsets.clear();
  ConvertRanges(encoding.rendered, options.offset_unit, encoding.offsets);
  return encoding;
}

absl::StatusOr<Encoding> Tokenizer::EncodeChat(std::span<const ChatMessage> messages,
                                               const EncodeOptions& options) const {
  int64_t bytes = 0;
  for (const ChatMessage& message : messages) bytes += static_cast<int64_t>(message.content.size());
  RETURN_IF_ERROR(CheckLength(bytes));
  if (options.control_text == ControlText::kReject) {
    for (size_t i = 0; i < messages.size(); ++i) {
      const std::optional<absl::string_view> tag = FindTag(messages[i].content);
      if (!tag.has_value()) continue;
      return FieldInvalid(absl::StrCat("prompt.chat.messages[", i, "].content"),
                          absl::StrCat("holds ", *tag, ", a tag of the chat format"),
                          "CONTROL_TEXT");
    }
  }
  ASSIGN_OR_RETURN(const RenderedChat chat, RenderChat(messages));
  EncodeOptions with_offsets = options;
  with_offsets.offsets = true;  // The role spans need them.
  Encoding encoding;
  for (const RenderedTurn& turn : chat.turns) {
    AppendControl(vocabulary_->bos(), encoding);
    Append(turn.text, with_offsets, encoding);
    if (turn.answered) AppendControl(vocabulary_->eos(), encoding);
  }
  encoding.role_spans = FindRoleSpans(messages, chat.contents, encoding.offsets);
  if (!options.offsets) encoding.offsets.clear();
  ConvertRanges(encoding.rendered, options.offset_unit, encoding.offsets);
  return encoding;
}

absl::StatusOr<Encoding> Tokenizer::EncodeIds(std::span<const TokenId> ids,
                                              const EncodeOptions& options) const {
  if (ids.empty()) return FieldInvalid("prompt.token_ids.ids", "expected at least one id");
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < vocabulary_->size()) continue;
    return FieldInvalid(
        absl::StrCat("prompt.token_ids.ids[", i, "]"),
        absl::StrCat("expected an id below ", vocabulary_->size(), ", found ", ids[i]));
  }
  Encoding encoding;
  encoding.ids.assign(ids.begin(), ids.end());
  StreamDecoder decoder(*vocabulary_, false);
  DecodedText decoded;
  size_t open = 0;  // The first token whose character is not complete yet.
  for (size_t i = 0; i < ids.size(); ++i) {
    const auto begin = static_cast<int64_t>(decoded.text.size());
    RETURN_IF_ERROR(decoder.Push(ids.subspan(i, 1), decoded));
    encoding.offsets.push_back({begin, static_cast<int64_t>(decoded.text.size())});
    if (!decoder.held().empty()) continue;
    for (; open < i; ++open) encoding.offsets[open].end = encoding.offsets[i].end;
    open = i + 1;
  }
  decoder.Flush(decoded);
  for (; open < ids.size(); ++open) {
    encoding.offsets[open].end = static_cast<int64_t>(decoded.text.size());
  }
  encoding.rendered = std::move(decoded.text);
  if (!options.offsets) encoding.offsets.clear();
  ConvertRanges(encoding.rendered, options.offset_unit, encoding.offsets);
  return encoding;
}

absl::StatusOr<DecodedText> Tokenizer::Decode(std::span<const TokenId> ids,
                                              bool keep_leading_space) const {
  StreamDecoder decoder(*vocabulary_, keep_leading_space);
  DecodedText decoded;
  RETURN_IF_ERROR(decoder.Push(ids, decoded));
  decoder.Flush(decoded);
  return decoded;
}

}  // namespace llama
