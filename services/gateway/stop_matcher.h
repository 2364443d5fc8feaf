#ifndef LLAMA_SERVICES_GATEWAY_STOP_MATCHER_H_
#define LLAMA_SERVICES_GATEWAY_STOP_MATCHER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

namespace llama {

// Finds stop sequences in a text that grows token by token, and lets out only what cannot be a part
// of one. The first sequence to be complete wins; of two complete at once, the longer. One that
// begins within the first `min_tokens` tokens does not count. Thread-compatible.
class StopMatcher {
 public:
  // What may be sent now.
  struct Output {
    std::string text;
    size_t tokens = 0;                // How many further tokens, in order, may be reported.
    std::optional<std::string> stop;  // The sequence that ended the text; nothing comes after it.
  };

  // `stops`: not empty strings, valid UTF-8.
  StopMatcher(std::vector<std::string> stops, int64_t min_tokens);

  // The next token completes `text` (whole characters, perhaps none). `holds_bytes`: it ends inside
  // a character, so that text which comes later is a part of it.
  Output Push(const std::string& text, bool holds_bytes);
  // Text that belongs to no further token: the end of the reply, decoded.
  Output PushEnd(const std::string& text);
  // Everything that was held back: no more will come.
  Output Flush();

 private:
  Output Append(const std::string& text);
  void CloseOpenTokens(const std::string& text);
  // Where the earliest sequence to be complete ends and which it is, looking at ends beyond `from`.
  const std::string* FindStop(size_t from, size_t& end) const;
  size_t HoldFrom() const;
  Output Release(size_t end);

  const std::vector<std::string> stops_;  // Longest first.
  const int64_t min_tokens_;
  std::string held_;           // Not yet let out.
  size_t released_ = 0;        // Bytes let out: where held_ begins.
  std::deque<size_t> tokens_;  // Where each token's text ends that may not be reported yet.
  size_t open_tokens_ = 0;     // The last ones of them, whose character is not complete.
  int64_t token_count_ = 0;
  size_t counts_from_ = 0;  // Sequences that begin before do not count.
};

}  // namespace llama

#endif  // LLAMA_SERVICES_GATEWAY_STOP_MATCHER_H_
