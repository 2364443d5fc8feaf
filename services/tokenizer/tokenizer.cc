#include "services/tokenizer/tokenizer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/read_file.h"
#include "common/sha256.h"
#include "common/status_details.h"
#include "common/status_macros.h"
#include "common/utf8.h"
#include "services/limits/request_limits.h"
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
    const bool empty = contents[i].begin == contents[i].end;
    while (!empty && end < count && offsets[end].begin < contents[i].end) ++end;
    append(Role::kUnspecified, id, begin);
    append(messages[i].role, begin, end);
    id = end;
  }
  append(Role::kUnspecified, id, count);
  return spans;
}

// Where the text of tokens lies that are decoded one by one. The tokens of a character all cover
// it; a byte that is none covers its U+FFFD.
class DecodedRanges {
 public:
  explicit DecodedRanges(const Vocabulary& vocabulary) : decoder_(vocabulary, false) {}

  absl::Status Push(TokenId id, bool is_byte) {
    const size_t text = decoded_.text.size();
    const size_t raw = decoded_.raw.size();
    const size_t held = decoder_.held().size();
    RETURN_IF_ERROR(decoder_.Push({&id, 1}, decoded_));
    ranges_.emplace_back();
    // Of what has come, the held bytes come first; all of it is theirs if another byte has come.
    absl::string_view come = absl::string_view(decoded_.raw).substr(raw);
    if (!is_byte) come = come.substr(0, held);
    const size_t at = Settle(come, text);
    if (is_byte) return absl::OkStatus();
    ranges_[settled_++] = {static_cast<int64_t>(at), static_cast<int64_t>(decoded_.text.size())};
    return absl::OkStatus();
  }
  void Flush() {
    const size_t text = decoded_.text.size();
    const std::string held = decoder_.held();
    decoder_.Flush(decoded_);
    Settle(held, text);
  }

  std::vector<Range>& ranges() { return ranges_; }
  DecodedText& decoded() { return decoded_; }

 private:
  // The next tokens are those of `bytes`, whose text begins at `at`. Returns where it ends.
  size_t Settle(absl::string_view bytes, size_t at) {
    while (!bytes.empty()) {
      const size_t size = FirstChar(bytes).bytes;
      const size_t end = at + (size == 0 ? sizeof kReplacement - 1 : size);
      for (size_t i = 0; i < std::max<size_t>(size, 1); ++i) {
        ranges_[settled_++] = {static_cast<int64_t>(at), static_cast<int64_t>(end)};
      }
      bytes.remove_prefix(std::max<size_t>(size, 1));
      at = end;
    }
    return at;
  }

  StreamDecoder decoder_;
  DecodedText decoded_;
  std::vector<Range> ranges_;
  size_t settled_ = 0;  // Tokens whose ranges are known.
};

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

void Tokenizer::AppendControl(TokenId id, Encoding& encoding) {
  encoding.ids.push_back(id);
  const auto here = static_cast<int64_t>(encoding.rendered.size());
  encoding.offsets.push_back({here, here});
}

absl::StatusOr<Encoding> Tokenizer::EncodeText(absl::string_view text,
                                               const EncodeOptions& options) const {
  RETURN_IF_ERROR(CheckPromptBytes(static_cast<int64_t>(text.size()), max_prompt_bytes_));
  Encoding encoding;
  if (options.add_bos) AppendControl(vocabulary_->bos(), encoding);
  Append(text, options, encoding);
  if (!options.offsets) encoding.offsets.clear();
  ConvertRanges(encoding.rendered, options.offset_unit, encoding.offsets);
  return encoding;
}

absl::StatusOr<Encoding> Tokenizer::EncodeChat(std::span<const ChatMessage> messages,
                                               const EncodeOptions& options) const {
  RETURN_IF_ERROR(CheckLimit(kChatMessages, static_cast<int64_t>(messages.size())));
  int64_t bytes = 0;
  for (const ChatMessage& message : messages) bytes += static_cast<int64_t>(message.content.size());
  RETURN_IF_ERROR(CheckPromptBytes(bytes, max_prompt_bytes_));
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
  const auto count = static_cast<int64_t>(ids.size());
  if (count < 1 || count > max_prompt_bytes_) {
    return FieldInvalid("prompt.token_ids.ids",
                        absl::StrCat("expected 1 to ", max_prompt_bytes_, " ids, found ", count));
  }
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < vocabulary_->size()) continue;
    return FieldInvalid(
        absl::StrCat("prompt.token_ids.ids[", i, "]"),
        absl::StrCat("expected an id below ", vocabulary_->size(), ", found ", ids[i]));
  }
  DecodedRanges ranges(*vocabulary_);
  for (const TokenId id : ids) {
    RETURN_IF_ERROR(ranges.Push(id, vocabulary_->piece(id).type == PieceType::kByte));
    RETURN_IF_ERROR(
        CheckPromptBytes(static_cast<int64_t>(ranges.decoded().text.size()), max_prompt_bytes_));
  }
  ranges.Flush();
  Encoding encoding;
  encoding.ids.assign(ids.begin(), ids.end());
  encoding.rendered = std::move(ranges.decoded().text);
  if (options.offsets) encoding.offsets = std::move(ranges.ranges());
  ConvertRanges(encoding.rendered, options.offset_unit, encoding.offsets);
  return encoding;
}

absl::StatusOr<DecodedText> Tokenizer::Decode(std::span<const TokenId> ids,
                                              bool keep_leading_space) const {
  StreamDecoder decoder(*vocabulary_, keep_leading_space);
  DecodedText decoded;
  // In pieces, so that the text does not grow far beyond what is allowed.
  constexpr size_t kPiece = 64;
  for (std::span<const TokenId> rest = ids; !rest.empty();) {
    const size_t count = std::min(rest.size(), kPiece);
    RETURN_IF_ERROR(decoder.Push(rest.first(count), decoded));
    rest = rest.subspan(count);
    if (decoded.text.size() + decoded.raw.size() <= kMaxDecodedBytes) continue;
    return FieldInvalid("ids", absl::StrCat("expected tokens of at most ", kMaxDecodedBytes,
                                            " bytes of text and raw together: decode them in "
                                            "parts, as a stream"));
  }
  decoder.Flush(decoded);
  return decoded;
}

}  // namespace llama
