#ifndef LLAMA_CLIENTS_CONSOLE_STYLED_TEXT_H_
#define LLAMA_CLIENTS_CONSOLE_STYLED_TEXT_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace llama {

// Text without control characters other than newline and tab.
struct StyledText {
  std::string text;
  bool bold = false;
};

// A row of the screen, and how many columns it takes; its escapes, if any, take none.
struct ScreenRow {
  std::string text;
  int64_t width = 0;
};

// `text` in ANSI bold, or as it is.
std::string Bold(absl::string_view text, bool bold);

// Breaks pieces that follow each other into rows of at most `width` columns, at least 1 row. A
// character that is wider than that has a row of its own. `bold`: with ANSI escapes.
std::vector<ScreenRow> WrapStyledText(std::span<const StyledText> pieces, int64_t width, bool bold);

}  // namespace llama

#endif  // LLAMA_CLIENTS_CONSOLE_STYLED_TEXT_H_
