#include "clients/console/sanitize.h"

#include <cstdint>

#include "absl/strings/str_format.h"

namespace llama {
namespace {

uint8_t Byte(absl::string_view text, size_t i) {
  return i < text.size() ? static_cast<uint8_t>(text[i]) : 0;
}

// Explicit direction marks: U+061C, U+200E, U+200F, U+202A to U+202E, U+2066 to U+2069.
bool TurnsDirection(uint32_t c) {
  return c == 0x61C || c == 0x200E || c == 0x200F || (c >= 0x202A && c <= 0x202E) ||
         (c >= 0x2066 && c <= 0x2069);
}

}  // namespace

std::string SanitizeForTerminal(absl::string_view text) {
  std::string safe;
  for (size_t i = 0; i < text.size();) {
    const uint8_t first = Byte(text, i);
    const size_t length = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    uint32_t c = first;
    if (length == 2) c = (first & 0x1F) << 6 | (Byte(text, i + 1) & 0x3F);
    if (length == 3) {
      c = (first & 0xF) << 12 | (Byte(text, i + 1) & 0x3F) << 6 | (Byte(text, i + 2) & 0x3F);
    }
    if ((c < 0x20 && c != '\n' && c != '\t') || (length <= 2 && c >= 0x7F && c < 0xA0)) {
      absl::StrAppendFormat(&safe, "\\x%02X", c);
    } else if (length <= 3 && TurnsDirection(c)) {
      absl::StrAppendFormat(&safe, "\\u%04X", c);
    } else {
      safe.append(text.substr(i, length).data(), text.substr(i, length).size());
    }
    i += length;
  }
  return safe;
}

}  // namespace llama
