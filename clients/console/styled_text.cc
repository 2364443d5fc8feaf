#include "clients/console/styled_text.h"

#include "absl/strings/str_cat.h"
#include "clients/console/utf8.h"

namespace llama {
namespace {

constexpr absl::string_view kBoldOn = "\x1b[1m";
constexpr absl::string_view kBoldOff = "\x1b[0m";
constexpr int64_t kTabStop = 8;

}  // namespace

std::string Bold(absl::string_view text, bool bold) {
  return bold ? absl::StrCat(kBoldOn, text, kBoldOff) : std::string(text);
}

std::vector<ScreenRow> WrapStyledText(std::span<const StyledText> pieces, int64_t width,
                                      bool bold) {
  std::vector<ScreenRow> rows(1);
  for (const StyledText& piece : pieces) {
    const bool on = bold && piece.bold;
    const auto new_row = [&rows, on] {
      if (on) absl::StrAppend(&rows.back().text, kBoldOff);
      rows.push_back({on ? std::string(kBoldOn) : "", 0});
    };
    if (on) absl::StrAppend(&rows.back().text, kBoldOn);
    size_t begin = 0;
    for (const size_t end : ClusterEnds(piece.text)) {
      const absl::string_view cluster = absl::string_view(piece.text).substr(begin, end - begin);
      begin = end;
      if (cluster == "\n") {
        new_row();
        continue;
      }
      const bool tab = cluster == "\t";
      int64_t columns = tab ? kTabStop - rows.back().width % kTabStop : DisplayWidth(cluster);
      if (rows.back().width + columns > width && rows.back().width > 0) {
        new_row();
        if (tab) columns = 0;  // A tab at the edge of the screen ends the row.
      }
      absl::StrAppend(&rows.back().text,
                      tab ? std::string(static_cast<size_t>(columns), ' ') : std::string(cluster));
      rows.back().width += columns;
    }
    if (on) absl::StrAppend(&rows.back().text, kBoldOff);
  }
  return rows;
}

}  // namespace llama
