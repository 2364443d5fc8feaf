#include "common/utf8.h"

namespace llama {
namespace {

uint8_t Byte(absl::string_view text, size_t i) { return static_cast<uint8_t>(text[i]); }

// How many bytes a character with this first byte has; 0 if none starts so.
size_t LengthFrom(uint8_t first) {
  if (first < 0x80) return 1;
  if (first < 0xC2) return 0;  // A trail byte, or the start of an overlong form.
  if (first < 0xE0) return 2;
  if (first < 0xF0) return 3;
  if (first < 0xF5) return 4;
  return 0;
}

// Whether `second` may follow `first`: rules out the overlong forms of three and four bytes, the
// surrogates, and what lies above U+10FFFF.
bool SecondFits(uint8_t first, uint8_t second) {
  if (second < 0x80 || second > 0xBF) return false;
  if (first == 0xE0) return second >= 0xA0;
  if (first == 0xED) return second <= 0x9F;
  if (first == 0xF0) return second >= 0x90;
  if (first == 0xF4) return second <= 0x8F;
  return true;
}

// How many of the bytes of `text`, at most `length`, can begin a character of that length.
size_t MatchingBytes(absl::string_view text, size_t length) {
  if (text.size() < 2 || !SecondFits(Byte(text, 0), Byte(text, 1))) return 1;
  size_t matching = 2;
  while (matching < length && matching < text.size() && (Byte(text, matching) & 0xC0) == 0x80) {
    ++matching;
  }
  return matching;
}

}  // namespace

Utf8Char FirstChar(absl::string_view text) {
  if (text.empty()) return {};
  const size_t length = LengthFrom(Byte(text, 0));
  if (length == 1) return {Byte(text, 0), 1};
  if (length == 0 || MatchingBytes(text, length) < length) return {};
  char32_t code_point = Byte(text, 0) & (0x7F >> length);
  for (size_t i = 1; i < length; ++i) code_point = code_point << 6 | (Byte(text, i) & 0x3F);
  return {code_point, length};
}

bool IsValidUtf8(absl::string_view text) {
  while (!text.empty()) {
    const size_t bytes = FirstChar(text).bytes;
    if (bytes == 0) return false;
    text.remove_prefix(bytes);
  }
  return true;
}

bool IsIncompleteChar(absl::string_view text) {
  const size_t length = LengthFrom(Byte(text, 0));
  return text.size() < length && MatchingBytes(text, length) == text.size();
}

}  // namespace llama
