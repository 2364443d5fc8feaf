#include "clients/console/sanitize.h"

#include <cstdint>

#include "absl/strings/str_format.h"
#include "clients/console/utf8.h"

namespace llama {
namespace {

bool IsControl(uint32_t c) {
  return (c < 0x20 && c != '\n' && c != '\t') || (c >= 0x7F && c < 0xA0);
}

// Explicit direction marks: U+061C, U+200E, U+200F, U+202A to U+202E, U+2066 to U+2069.
bool TurnsDirection(uint32_t c) {
  return c == 0x61C || c == 0x200E || c == 0x200F || (c >= 0x202A && c <= 0x202E) ||
         (c >= 0x2066 && c <= 0x2069);
}

}  // namespace

bool IsShownEscaped(uint32_t c) { return IsControl(c) || TurnsDirection(c); }

std::string SanitizeForTerminal(absl::string_view text) {
  std::string safe;
  for (size_t i = 0; i < text.size();) {
    const CodePoint c = DecodeCodePoint(text, i);
    if (!c.valid) {
      absl::StrAppendFormat(&safe, "\\x%02X", static_cast<uint8_t>(text[i]));
    } else if (IsControl(c.value)) {
      absl::StrAppendFormat(&safe, "\\x%02X", c.value);
    } else if (TurnsDirection(c.value)) {
      absl::StrAppendFormat(&safe, "\\u%04X", c.value);
    } else {
      safe.append(text.data() + i, c.length);
    }
    i += c.length;
  }
  return safe;
}

}  // namespace llama
