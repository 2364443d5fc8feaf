#ifndef LLAMA_TESTS_CLIENTS_CONSOLE_SCREEN_H_
#define LLAMA_TESTS_CLIENTS_CONSOLE_SCREEN_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace llama {

// A terminal's screen, as far as the console's escapes go: text with automatic wrapping, newline,
// carriage return, cursor up, clear to the end of the row or screen, bold (ignored). A newline also
// returns to the first column, as behind a terminal driver.
class Screen {
 public:
  Screen(int64_t columns, int64_t rows);

  void Feed(absl::string_view bytes);
  // Breaks rows that are now too long, as terminals do that reflow.
  void Resize(int64_t columns, int64_t rows);

  // What scrolled away and what is on the screen, without blanks at the ends of rows and without
  // empty rows at the end.
  std::vector<std::string> Lines() const;
  // Escapes that the screen does not know.
  const std::vector<std::string>& unknown() const { return unknown_; }

 private:
  using Row = std::vector<std::string>;  // A cell each; "" is the right half of a wide character.

  void PutCharacter(absl::string_view character);
  void NewRow();
  void Execute(absl::string_view parameter, char command);

  int64_t columns_;
  int64_t rows_;
  std::vector<Row> all_ = {{}};  // The last rows_ of them are on the screen.
  size_t row_ = 0;
  size_t column_ = 0;
  std::string pending_;  // The beginning of an escape or a character.
  std::vector<std::string> unknown_;
};

}  // namespace llama

#endif  // LLAMA_TESTS_CLIENTS_CONSOLE_SCREEN_H_
