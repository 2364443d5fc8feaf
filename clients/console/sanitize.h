#ifndef LLAMA_CLIENTS_CONSOLE_SANITIZE_H_
#define LLAMA_CLIENTS_CONSOLE_SANITIZE_H_

#include <string>

#include "absl/strings/string_view.h"

namespace llama {

// `text`, valid UTF-8, for a terminal: control characters other than newline and tab (C0, DEL, C1)
// and the marks that turn the direction of text become visible, as \x1B or \u202E, so that a
// model's output is shown and never executed.
std::string SanitizeForTerminal(absl::string_view text);

}  // namespace llama

#endif  // LLAMA_CLIENTS_CONSOLE_SANITIZE_H_
