#ifndef LLAMA_COMMON_PRINTABLE_H_
#define LLAMA_COMMON_PRINTABLE_H_

#include <string>

#include "absl/strings/string_view.h"

namespace llama {

// `text` on one line and harmless to a terminal, for messages that quote what others wrote: control
// characters (C0, DEL, C1), the marks that end lines or turn the direction of text, and bytes that
// are no UTF-8 are written as \n, \x1b or \u202e. What is printable already stays as it is, so
// that doing it twice changes nothing.
std::string Printable(absl::string_view text);

// The inside of a JSON string (RFC 8259), printable in the same sense; U+FFFD for each byte that is
// no UTF-8.
std::string PrintableJson(absl::string_view text);

}  // namespace llama

#endif  // LLAMA_COMMON_PRINTABLE_H_
