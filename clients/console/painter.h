#ifndef LLAMA_CLIENTS_CONSOLE_PAINTER_H_
#define LLAMA_CLIENTS_CONSOLE_PAINTER_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "clients/console/styled_text.h"

namespace llama {

// Redraws a block of rows where it stands on the terminal: what to write, as text with escapes. The
// cursor stays at the beginning of the row below the block.
class Painter {
 public:
  // Puts `rows`, which must fit the screen, in place of what was drawn last. `columns`,
  // `screen_rows`: of the screen now; a terminal that became narrower has broken the old rows into
  // more.
  std::string Draw(std::span<const ScreenRow> rows, int64_t columns, int64_t screen_rows);
  // Takes the block away.
  std::string Erase(int64_t columns, int64_t screen_rows) { return Draw({}, columns, screen_rows); }

 private:
  std::vector<int64_t> drawn_;  // Widths of the rows on the screen.
};

}  // namespace llama

#endif  // LLAMA_CLIENTS_CONSOLE_PAINTER_H_
