#include "services/gateway/stop_matcher.h"

#include <random>

#include "gtest/gtest.h"

namespace llama {
namespace {

struct Result {
  std::string text;
  size_t tokens = 0;
  std::string stop;
  bool operator==(const Result&) const = default;
};

// The same decision on the whole text: `tokens` are the texts of the tokens.
Result Naive(const std::vector<std::string>& tokens, const std::vector<std::string>& stops,
             size_t min_tokens) {
  std::string text;
  std::vector<size_t> ends;
  for (const std::string& token : tokens) {
    text += token;
    ends.push_back(text.size());
  }
  const size_t from = min_tokens == 0            ? 0
                      : min_tokens > ends.size() ? text.size() + 1
                                                 : ends[min_tokens - 1];
  for (size_t end = 1; end <= text.size(); ++end) {
    std::string best;
    for (const std::string& stop : stops) {
      if (stop.size() <= end && end - stop.size() >= from && stop.size() > best.size() &&
          text.compare(end - stop.size(), stop.size(), stop) == 0) {
        best = stop;
      }
    }
    if (best.empty()) continue;
    Result result = {.text = text.substr(0, end - best.size()), .tokens = 0, .stop = best};
    while (result.tokens < ends.size() && ends[result.tokens] <= end - best.size()) ++result.tokens;
    return result;
  }
  return {.text = text, .tokens = tokens.size(), .stop = ""};
}

Result Streamed(const std::vector<std::string>& tokens, const std::vector<std::string>& stops,
                int64_t min_tokens) {
  StopMatcher matcher(stops, min_tokens);
  Result result;
  const auto take = [&result](const StopMatcher::Output& output) {
    result.text += output.text;
    result.tokens += output.tokens;
    if (output.stop.has_value()) result.stop = *output.stop;
    return output.stop.has_value();
  };
  for (const std::string& token : tokens) {
    if (take(matcher.Push(token, false))) return result;
  }
  take(matcher.Flush());
  return result;
}

TEST(StopMatcherTest, EverySplitGivesTheSameAsTheWholeText) {
  const std::string text = "abaabab";
  for (const std::vector<std::string>& stops : {std::vector<std::string>{"aab"},
                                                {"bab"},
                                                {"abab", "ba"},
                                                {"b", "ab"},
                                                {"abaababx"},
                                                {"aa", "baa"},
                                                {"a"}}) {
    for (uint32_t cuts = 0; cuts < 1U << (text.size() - 1); ++cuts) {
      std::vector<std::string> tokens(1);
      for (size_t i = 0; i < text.size(); ++i) {
        tokens.back() += text[i];
        if (i + 1 < text.size() && (cuts >> i & 1) != 0) tokens.emplace_back();
      }
      for (int64_t min_tokens = 0; min_tokens < 5; ++min_tokens) {
        ASSERT_EQ(Streamed(tokens, stops, min_tokens),
                  Naive(tokens, stops, static_cast<size_t>(min_tokens)));
      }
    }
  }
}

TEST(StopMatcherTest, RandomTextsGiveTheSameAsTheWhole) {
  std::mt19937 random(2);
  const auto word = [&random](size_t most) {
    std::string text;
    for (size_t n = random() % (most + 1); n > 0; --n)
      text += static_cast<char>('a' + random() % 2);
    return text;
  };
  for (int round = 0; round < 20000; ++round) {
    std::vector<std::string> stops;
    for (size_t n = 1 + random() % 3; n > 0; --n) stops.push_back(word(5).append("a"));
    std::vector<std::string> tokens;
    for (size_t n = random() % 12; n > 0; --n) tokens.push_back(word(3));
    const size_t min_tokens = random() % 4;
    ASSERT_EQ(Streamed(tokens, stops, static_cast<int64_t>(min_tokens)),
              Naive(tokens, stops, min_tokens));
  }
}

TEST(StopMatcherTest, NothingIsLetOutThatMayBePartOfAStop) {
  StopMatcher matcher({"STOP"}, 0);
  EXPECT_EQ(matcher.Push("go S", false).text, "go ");
  EXPECT_EQ(matcher.Push("TO", false).text, "");
  EXPECT_EQ(matcher.Push("x", false).text, "STOx");
}

TEST(StopMatcherTest, TokensOfAnUnfinishedCharacterWaitForIt) {
  StopMatcher matcher({"é"}, 0);
  EXPECT_EQ(matcher.Push("a", false).tokens, 1u);
  EXPECT_EQ(matcher.Push("", true).tokens, 0u);
  const StopMatcher::Output output = matcher.Push("é", false);
  EXPECT_EQ(output.tokens, 0u);
  EXPECT_EQ(output.stop, "é");
}

}  // namespace
}  // namespace llama
