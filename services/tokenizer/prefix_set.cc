#include "services/tokenizer/prefix_set.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"

namespace llama {

PrefixSet::PrefixSet(std::vector<absl::string_view> strings) : strings_(std::move(strings)) {
  std::sort(strings_.begin(), strings_.end());
  for (const absl::string_view string : strings_) {
    first_bytes_.set(static_cast<uint8_t>(string[0]));
    // All that it starts with come before it, and so does nothing else that these start.
    auto prefix = static_cast<int32_t>(prefixes_.size()) - 1;
    while (prefix >= 0 && !absl::StartsWith(string, strings_[static_cast<size_t>(prefix)])) {
      prefix = prefixes_[static_cast<size_t>(prefix)];
    }
    prefixes_.push_back(prefix);
  }
}

size_t PrefixSet::LongestPrefix(absl::string_view text) const {
  if (text.empty() || !first_bytes_.test(static_cast<uint8_t>(text[0]))) return 0;
  // Of the strings that are not behind the text, the last starts with all that the text starts
  // with: these are its prefixes that are no longer than what the two have in common.
  const auto behind = std::upper_bound(strings_.begin(), strings_.end(), text);
  if (behind == strings_.begin()) return 0;
  const absl::string_view last = *std::prev(behind);
  const auto common = static_cast<size_t>(
      std::mismatch(last.begin(), last.end(), text.begin(), text.end()).first - last.begin());
  auto prefix = static_cast<int32_t>(std::prev(behind) - strings_.begin());
  while (prefix >= 0 && strings_[static_cast<size_t>(prefix)].size() > common) {
    prefix = prefixes_[static_cast<size_t>(prefix)];
  }
  return prefix < 0 ? 0 : strings_[static_cast<size_t>(prefix)].size();
}

}  // namespace llama
