#ifndef LLAMA_CLIENTS_CONSOLE_UTF8_H_
#define LLAMA_CLIENTS_CONSOLE_UTF8_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"

namespace llama {

struct CodePoint {
  uint32_t value = 0;  // U+FFFD where the bytes are no character.
  size_t length = 1;   // In bytes; 1 where the bytes are no character.
  bool valid = false;
};

// The code point that starts at `at`, which must lie inside `text`.
CodePoint DecodeCodePoint(absl::string_view text, size_t at);

// Where each user-perceived character (extended grapheme cluster of UAX #29) of `text` ends: flags,
// skin tones and joined emoji are one. The last end is text.size().
std::vector<size_t> ClusterEnds(absl::string_view text);

// Columns that `text`, which has no control characters, takes on a terminal. Terminals differ over
// joined emoji: this is what those take that draw the parts one by one, so never too little.
int64_t DisplayWidth(absl::string_view text);

}  // namespace llama

#endif  // LLAMA_CLIENTS_CONSOLE_UTF8_H_
