#include "services/tokenizer/prefix_set.h"

#include <algorithm>
#include <utility>

namespace llama {

PrefixSet::PrefixSet(std::vector<absl::string_view> strings) : strings_(std::move(strings)) {
  std::sort(strings_.begin(), strings_.end());
  for (const absl::string_view string : strings_) {
    first_bytes_.set(static_cast<uint8_t>(string[0]));
  }
}

size_t PrefixSet::LongestPrefix(absl::string_view text) const {
  while (!text.empty() && first_bytes_.test(static_cast<uint8_t>(text[0]))) {
    // Of the strings that are not behind the text, the last is the longest of its prefixes, if it
    // is one; if not, what the two have in common has all of them.
    const auto behind = std::upper_bound(strings_.begin(), strings_.end(), text);
    if (behind == strings_.begin()) return 0;
    const absl::string_view last = *std::prev(behind);
    const auto common = static_cast<size_t>(
        std::mismatch(last.begin(), last.end(), text.begin(), text.end()).first - last.begin());
    if (common == last.size()) return common;
    text = text.substr(0, common);
  }
  return 0;
}

}  // namespace llama
