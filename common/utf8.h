#ifndef LLAMA_COMMON_UTF8_H_
#define LLAMA_COMMON_UTF8_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

// UTF-8 as in RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF.
namespace llama {

// U+FFFD, which stands for each byte that is not part of a character.
inline constexpr char kReplacement[] = "\xEF\xBF\xBD";

struct Utf8Char {
  char32_t code_point = 0;
  size_t bytes = 0;  // 1 to 4; 0 if the text does not start with a character.
};

// The character at the start of `text`.
Utf8Char FirstChar(absl::string_view text);

// Whether `text` consists of characters.
bool IsValidUtf8(absl::string_view text);

// Whether `text`, not empty, could grow into a single character by bytes that follow.
bool IsIncompleteChar(absl::string_view text);

}  // namespace llama

#endif  // LLAMA_COMMON_UTF8_H_
