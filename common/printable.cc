#include "common/printable.h"

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/utf8.h"

namespace llama {
namespace {

bool IsHarmful(char32_t c) {
  const bool is_control = c < 0x20 || (c >= 0x7F && c < 0xA0);
  const bool ends_line = c == 0x2028 || c == 0x2029;
  const bool turns_direction = c == 0x061C || c == 0x200E || c == 0x200F ||
                               (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
  return is_control || ends_line || turns_direction;
}

// How many of the first bytes are plain: printable ASCII, and none of `but`.
size_t CountPlain(absl::string_view text, absl::string_view but) {
  size_t count = 0;
  while (count < text.size() && text[count] >= 0x20 && text[count] < 0x7F &&
         but.find(text[count]) == absl::string_view::npos) {
    ++count;
  }
  return count;
}

}  // namespace

std::string Printable(absl::string_view text) {
  std::string printable;
  while (true) {
    const size_t plain = CountPlain(text, "");
    absl::StrAppend(&printable, text.substr(0, plain));
    text.remove_prefix(plain);
    if (text.empty()) return printable;
    const Utf8Char first = FirstChar(text);
    const size_t bytes = first.bytes == 0 ? 1 : first.bytes;
    if (first.bytes == 0 || (first.code_point < 0xA0 && IsHarmful(first.code_point))) {
      const uint32_t code = first.bytes == 0 ? static_cast<uint8_t>(text[0]) : first.code_point;
      if (code == '\n') {
        printable += "\\n";
      } else {
        absl::StrAppendFormat(&printable, "\\x%02x", code);
      }
    } else if (IsHarmful(first.code_point)) {
      absl::StrAppendFormat(&printable, "\\u%04x", static_cast<uint32_t>(first.code_point));
    } else {
      absl::StrAppend(&printable, text.substr(0, bytes));
    }
    text.remove_prefix(bytes);
  }
}

std::string PrintableJson(absl::string_view text) {
  std::string json;
  while (true) {
    const size_t plain = CountPlain(text, "\"\\");
    absl::StrAppend(&json, text.substr(0, plain));
    text.remove_prefix(plain);
    if (text.empty()) return json;
    const Utf8Char first = FirstChar(text);
    const size_t bytes = first.bytes == 0 ? 1 : first.bytes;
    if (first.bytes == 0) {
      json += kReplacement;
    } else if (text[0] == '"' || text[0] == '\\') {
      absl::StrAppend(&json, "\\", text.substr(0, 1));
    } else if (IsHarmful(first.code_point)) {
      absl::StrAppendFormat(&json, "\\u%04x", static_cast<uint32_t>(first.code_point));
    } else {
      absl::StrAppend(&json, text.substr(0, bytes));
    }
    text.remove_prefix(bytes);
  }
}

}  // namespace llama
