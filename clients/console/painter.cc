#include "clients/console/painter.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace llama {

std::string Painter::Draw(std::span<const ScreenRow> rows, int64_t columns, int64_t screen_rows) {
  columns = std::max<int64_t>(columns, 1);
  int64_t up = 0;
  for (const int64_t width : drawn_) up += std::max<int64_t>((width + columns - 1) / columns, 1);
  // The cursor cannot go up further than the screen's first row.
  up = std::min(up, std::max<int64_t>(screen_rows - 1, 0));
  std::string out = "\r";
  if (up > 0) absl::StrAppend(&out, "\x1b[", up, "A");
  drawn_.clear();
  // Rows are overwritten and only then cleared behind their end, so that nothing flickers.
  for (const ScreenRow& row : rows) {
    absl::StrAppend(&out, row.text, "\x1b[K\n");
    drawn_.push_back(row.width);
  }
  absl::StrAppend(&out, "\x1b[J");
  return out;
}

}  // namespace llama
