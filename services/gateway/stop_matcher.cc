#include "services/gateway/stop_matcher.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"

namespace llama {
namespace {

constexpr absl::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD.

// `text`: valid UTF-8, not empty.
size_t FirstCharBytes(const std::string& text) {
  size_t bytes = 1;
  while (bytes < text.size() && (static_cast<unsigned char>(text[bytes]) & 0xC0) == 0x80) ++bytes;
  return bytes;
}

std::vector<std::string> LongestFirst(std::vector<std::string> stops) {
  std::stable_sort(stops.begin(), stops.end(),
                   [](const std::string& a, const std::string& b) { return a.size() > b.size(); });
  return stops;
}

}  // namespace

StopMatcher::StopMatcher(std::vector<std::string> stops, int64_t min_tokens)
    : stops_(LongestFirst(std::move(stops))), min_tokens_(min_tokens) {}

StopMatcher::Output StopMatcher::Push(const std::string& text, bool holds_bytes) {
  CloseOpenTokens(text);
  const size_t end = released_ + held_.size() + text.size();
  if (token_count_++ < min_tokens_) counts_from_ = end;
  // An open token ends where its character will.
  tokens_.push_back(holds_bytes ? std::numeric_limits<size_t>::max() : end);
  open_tokens_ = holds_bytes ? open_tokens_ + 1 : 0;
  return Append(text);
}

StopMatcher::Output StopMatcher::PushEnd(const std::string& text) {
  CloseOpenTokens(text);
  return Append(text);
}

// The open tokens' bytes are a character that `text` begins with or, if they did not become one,
// U+FFFD each.
void StopMatcher::CloseOpenTokens(const std::string& text) {
  if (text.empty()) return;
  const bool replaced = absl::StartsWith(text, kReplacement);
  const size_t begin = released_ + held_.size();
  size_t end = begin + FirstCharBytes(text);
  int64_t index = token_count_ - static_cast<int64_t>(open_tokens_);
  for (size_t i = tokens_.size() - open_tokens_; i < tokens_.size(); ++i, ++index) {
    tokens_[i] = end;
    if (index < min_tokens_) counts_from_ = end;
    if (replaced && text.compare(end - begin, kReplacement.size(), kReplacement.data()) == 0) {
      end += kReplacement.size();
    }
  }
  open_tokens_ = 0;
}

StopMatcher::Output StopMatcher::Append(const std::string& text) {
  const size_t before = held_.size();
  held_ += text;
  size_t end = 0;
  if (const std::string* const stop = FindStop(before, end); stop != nullptr) {
    Output output = Release(end - stop->size());
    output.stop = *stop;
    return output;
  }
  return Release(HoldFrom());
}

StopMatcher::Output StopMatcher::Flush() {
  Output output = Release(held_.size());
  output.tokens += tokens_.size();
  tokens_.clear();
  return output;
}

const std::string* StopMatcher::FindStop(size_t from, size_t& end) const {
  for (end = from + 1; end <= held_.size(); ++end) {
    for (const std::string& stop : stops_) {
      if (stop.size() <= end && released_ + end - stop.size() >= counts_from_ &&
          held_.compare(end - stop.size(), stop.size(), stop) == 0) {
        return &stop;
      }
    }
  }
  return nullptr;
}

// The start of the longest end of held_ that could grow into a sequence that counts.
size_t StopMatcher::HoldFrom() const {
  size_t start = counts_from_ > released_ ? counts_from_ - released_ : 0;
  for (; start < held_.size(); ++start) {
    const size_t size = held_.size() - start;
    for (const std::string& stop : stops_) {
      if (size < stop.size() && held_.compare(start, size, stop, 0, size) == 0) return start;
    }
  }
  return held_.size();
}

// Lets out the first `end` bytes of held_, and the tokens that lie within all that is let out.
StopMatcher::Output StopMatcher::Release(size_t end) {
  Output output;
  output.text = held_.substr(0, end);
  held_.erase(0, end);
  released_ += end;
  while (!tokens_.empty() && tokens_.front() <= released_) {
    tokens_.pop_front();
    ++output.tokens;
  }
  return output;
}

}  // namespace llama
