#include "tests/clients/console/screen.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "clients/console/utf8.h"

namespace llama {

Screen::Screen(int64_t columns, int64_t rows) : columns_(columns), rows_(rows) {}

void Screen::NewRow() {
  ++row_;
  column_ = 0;
  if (row_ == all_.size()) all_.emplace_back();
}

void Screen::PutCharacter(absl::string_view character) {
  const int64_t width = DisplayWidth(character);
  if (width == 0) {  // Joins the character before it.
    size_t cell = column_;
    while (cell > 0 && all_[row_][cell - 1].empty()) --cell;
    if (cell > 0) all_[row_][cell - 1].append(character.data(), character.size());
    return;
  }
  if (static_cast<int64_t>(column_) + width > columns_) NewRow();
  Row& row = all_[row_];
  const size_t end = column_ + static_cast<size_t>(width);
  if (row.size() < end) row.resize(end, " ");
  row[column_] = std::string(character);
  if (width == 2) row[column_ + 1].clear();
  column_ = end;
}

void Screen::Execute(absl::string_view parameter, char command) {
  int64_t count = 1;
  if (!parameter.empty() && !absl::SimpleAtoi(parameter, &count)) command = '?';
  const size_t top = all_.size() - std::min(all_.size(), static_cast<size_t>(rows_));
  switch (command) {
    case 'A':
      row_ = std::max(top, row_ - std::min(row_, static_cast<size_t>(count)));
      return;
    case 'J':
      all_.resize(row_ + 1);
      [[fallthrough]];
    case 'K':
      if (parameter.empty() && all_[row_].size() > column_) all_[row_].resize(column_);
      return;
    case 'm':
      return;
    default:
      unknown_.push_back(absl::StrCat(parameter, std::string(1, command)));
  }
}

void Screen::Feed(absl::string_view bytes) {
  pending_.append(bytes.data(), bytes.size());
  size_t i = 0;
  while (i < pending_.size()) {
    const absl::string_view rest = absl::string_view(pending_).substr(i);
    if (rest[0] == '\x1b') {
      if (rest.size() < 2) break;
      const size_t end = rest[1] == '[' ? rest.find_first_not_of("0123456789;?", 2) : 1;
      if (end == absl::string_view::npos) break;
      if (rest[1] == '[') {
        Execute(rest.substr(2, end - 2), rest[end]);
      } else {
        unknown_.push_back(std::string(1, rest[1]));
      }
      i += end + 1;
    } else if (rest[0] == '\n') {
      NewRow();
      ++i;
    } else if (rest[0] == '\r') {
      column_ = 0;
      ++i;
    } else {
      const CodePoint c = DecodeCodePoint(pending_, i);
      if (!c.valid && rest.size() < 4) break;
      PutCharacter(rest.substr(0, c.length));
      i += c.length;
    }
  }
  pending_.erase(0, i);
}

void Screen::Resize(int64_t columns, int64_t rows) {
  const std::vector<std::string> lines = Lines();
  const size_t lines_before_cursor = row_;
  all_ = {{}};
  row_ = 0;
  column_ = 0;
  columns_ = columns;
  rows_ = rows;
  for (size_t i = 0; i < lines_before_cursor; ++i) {
    if (i < lines.size()) Feed(lines[i]);
    NewRow();
  }
}

std::vector<std::string> Screen::Lines() const {
  std::vector<std::string> lines;
  for (const Row& row : all_) {
    std::string line;
    for (const std::string& cell : row) line += cell;
    line.erase(line.find_last_not_of(' ') + 1);
    lines.push_back(line);
  }
  while (!lines.empty() && lines.back().empty()) lines.pop_back();
  return lines;
}

}  // namespace llama
