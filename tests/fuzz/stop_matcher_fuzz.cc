// Stop sequences: however the text is cut into tokens, it ends where a search of the whole text
// says. Sequences first, each after its length (0 to 7; 0 ends the list), then the text with '|'
// between tokens. Everything is mapped to few letters, so that matches are common.
#include <optional>

#include "services/gateway/stop_matcher.h"
#include "tests/fuzz/fuzzing.h"

namespace {

std::string Letters(absl::string_view text) {
  std::string letters;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte % 5 == 4) {
      letters += "é";  // More than one byte.
    } else {
      letters += static_cast<char>('a' + byte % 5 % 3);
    }
  }
  return letters;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace llama;
  fuzzing::Input input(data, size);
  const int64_t min_tokens = input.Byte() % 4;
  std::vector<std::string> stops;
  while (stops.size() < 16) {
    const size_t length = input.Byte() % 8;
    if (length == 0) break;
    stops.push_back(Letters(input.Take(length)));
    if (stops.back().empty()) stops.pop_back();
  }
  std::vector<std::string> tokens;
  while (!input.empty()) tokens.push_back(Letters(input.TakeUntil("|")));

  std::string whole;
  size_t counts_from = 0;
  for (size_t i = 0; i < tokens.size(); ++i) {
    whole += tokens[i];
    if (static_cast<int64_t>(i) < min_tokens) counts_from = whole.size();
  }
  std::optional<std::string> expected_stop;
  std::string expected = whole;
  for (size_t end = 1; end <= whole.size() && !expected_stop.has_value(); ++end) {
    for (const std::string& stop : stops) {
      if (stop.size() > end || end - stop.size() < counts_from ||
          whole.compare(end - stop.size(), stop.size(), stop) != 0) {
        continue;
      }
      if (expected_stop.has_value() && expected_stop->size() >= stop.size()) continue;
      expected_stop = stop;
      expected = whole.substr(0, end - stop.size());
    }
  }

  StopMatcher matcher(stops, min_tokens);
  std::string found;
  std::optional<std::string> found_stop;
  size_t reported = 0;
  for (size_t i = 0; i < tokens.size() && !found_stop.has_value(); ++i) {
    const StopMatcher::Output output = matcher.Push(tokens[i], false);
    found += output.text;
    reported += output.tokens;
    found_stop = output.stop;
    FUZZ_CHECK(found == expected.substr(0, found.size()));  // Nothing is ever taken back.
  }
  if (!found_stop.has_value()) {
    const StopMatcher::Output output = matcher.Flush();
    found += output.text;
    reported += output.tokens;
    FUZZ_CHECK(reported == tokens.size());
  }
  FUZZ_CHECK(found == expected);
  FUZZ_CHECK(found_stop == expected_stop);
  FUZZ_CHECK(reported <= tokens.size());
  return 0;
}
