#ifndef LLAMA_CLIENTS_CONSOLE_SANITIZE_H_
#define LLAMA_CLIENTS_CONSOLE_SANITIZE_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace llama {

// `text` for a terminal: control characters other than newline and tab (C0, DEL, C1), the marks
// that turn the direction of text, and bytes that are no UTF-8 become visible, as \x1B or \u202E,
// so that a model's output is shown and never executed.
std::string SanitizeForTerminal(absl::string_view text);

// Whether SanitizeForTerminal() writes this code point in another way.
bool IsShownEscaped(uint32_t c);

}  // namespace llama

#endif  // LLAMA_CLIENTS_CONSOLE_SANITIZE_H_
