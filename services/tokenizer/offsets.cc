#include "services/tokenizer/offsets.h"

#include <algorithm>

#include "common/utf8.h"

namespace llama {
namespace {

constexpr size_t kSymbolBytes = 3;  // Of "▁" and of U+FFFD.

// Walks along a text and counts in two units at once. Positions are asked for in ascending order.
class Walk {
 public:
  Walk(absl::string_view text, OffsetUnit unit) : text_(text), unit_(unit) {}

  int64_t To(int64_t byte) {
    while (bytes_ < byte) {
      const Utf8Char here = FirstChar(text_.substr(static_cast<size_t>(bytes_)));
      bytes_ += static_cast<int64_t>(std::max<size_t>(here.bytes, 1));
      count_ += unit_ == OffsetUnit::kUtf16 && here.code_point > 0xFFFF ? 2 : 1;
    }
    return count_;
  }

 private:
  const absl::string_view text_;
  const OffsetUnit unit_;
  int64_t bytes_ = 0;
  int64_t count_ = 0;
};

}  // namespace

std::vector<Range> ByteRanges(absl::string_view text, bool add_dummy_prefix,
                              const std::vector<TextToken>& tokens) {
  // `normalized` and `original` point to the same place of the two texts.
  size_t normalized = add_dummy_prefix && !text.empty() ? kSymbolBytes : 0;
  size_t original = 0;
  const auto advance = [&](size_t target) {
    while (normalized < target) {
      const size_t bytes = FirstChar(text.substr(original)).bytes;
      const bool replaced = bytes == 0 || text[original] == ' ';
      normalized += replaced ? kSymbolBytes : bytes;
      original += std::max<size_t>(bytes, 1);
    }
    return static_cast<int64_t>(original);
  };
  std::vector<Range> ranges;
  ranges.reserve(tokens.size());
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (i > 0 && tokens[i].begin == tokens[i - 1].begin && tokens[i].end == tokens[i - 1].end) {
      ranges.push_back(ranges.back());
      continue;
    }
    const int64_t begin = advance(tokens[i].begin);
    ranges.push_back({begin, advance(tokens[i].end)});
  }
  return ranges;
}

void ConvertRanges(absl::string_view text, OffsetUnit unit, std::vector<Range>& ranges) {
  if (unit == OffsetUnit::kByte) return;
  Walk walk(text, unit);
  Range last_bytes, last;
  for (Range& range : ranges) {
    if (range.begin != last_bytes.begin || range.end != last_bytes.end) {
      last_bytes = range;
      last.begin = walk.To(range.begin);
      last.end = walk.To(range.end);
    }
    range = last;
  }
}

}  // namespace llama
