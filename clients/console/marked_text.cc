#include "clients/console/marked_text.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "clients/console/utf8.h"

namespace llama {
namespace {

// More than a stop sequence can hold back; what is older is forgotten.
constexpr size_t kMaxCharacters = 4096;
// How far the text's next character is looked for among the tokens'.
constexpr size_t kMaxSkipped = 8;

// The length of the character that `lead` begins; 1 if it begins none.
size_t SequenceLength(char lead) {
  const auto byte = static_cast<uint8_t>(lead);
  return byte < 0xC2 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : byte < 0xF5 ? 4 : 1;
}

// Whether further bytes can make a character of `bytes`.
bool IsIncomplete(absl::string_view bytes) {
  return bytes.size() < SequenceLength(bytes.front()) &&
         std::all_of(bytes.begin() + 1, bytes.end(),
                     [](char c) { return (static_cast<uint8_t>(c) & 0xC0) == 0x80; });
}

}  // namespace

bool IsByteToken(const v1::Token& token) {
  const absl::string_view spelling = token.spelling();
  return spelling.size() == 6 && absl::StartsWith(spelling, "<0x") && spelling[5] == '>' &&
         absl::ascii_isxdigit(static_cast<unsigned char>(spelling[3])) &&
         absl::ascii_isxdigit(static_cast<unsigned char>(spelling[4]));
}

void TextMarker::PushPiece(const std::string& piece, bool is_byte) {
  for (const char byte : piece) {
    partial_ += byte;
    partial_from_byte_.push_back(is_byte);
    while (!partial_.empty()) {
      const CodePoint c = DecodeCodePoint(partial_, 0);
      if (!c.valid && IsIncomplete(partial_)) break;
      const auto end = partial_from_byte_.begin() + static_cast<std::ptrdiff_t>(c.length);
      characters_.push_back({c.value, std::find(partial_from_byte_.begin(), end, true) != end});
      partial_.erase(0, c.length);
      partial_from_byte_.erase(partial_from_byte_.begin(), end);
    }
    if (characters_.size() > kMaxCharacters) characters_.pop_front();
  }
}

bool TextMarker::TakeMark(uint32_t value) {
  const auto end =
      characters_.begin() + static_cast<std::ptrdiff_t>(std::min(characters_.size(), kMaxSkipped));
  const auto found =
      std::find_if(characters_.begin(), end, [&](const Character& c) { return c.value == value; });
  if (found == end) return false;
  const bool mark = found->from_byte_token;
  characters_.erase(characters_.begin(), found + 1);
  return mark;
}

void TextMarker::Push(const v1::Delta& delta, MarkedText& reply) {
  for (const v1::Token& token : delta.tokens()) PushPiece(token.piece(), IsByteToken(token));
  const std::string& text = delta.text();
  for (size_t i = 0; i < text.size();) {
    const CodePoint c = DecodeCodePoint(text, i);
    reply.from_byte_tokens.insert(reply.from_byte_tokens.end(), c.length, TakeMark(c.value));
    i += c.length;
  }
  reply.text += text;
}

}  // namespace llama
