#include "services/gateway/stop_matcher.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gtest/gtest.h"

namespace llama {
namespace {

constexpr char kReplacement[] = "\xEF\xBF\xBD";

using Strings = std::vector<std::string>;

// What a whole reply comes to.
struct Result {
  std::string text;
  size_t tokens = 0;  // Reported.
  std::optional<std::string> stop;

  bool operator==(const Result&) const = default;
};

void PrintTo(const Result& result, std::ostream* out) {
  *out << '"' << absl::CHexEscape(result.text) << "\", " << result.tokens
       << " tokens, stop: " << (result.stop.has_value() ? absl::CHexEscape(*result.stop) : "none");
}

std::string Describe(const Strings& tokens, const Strings& stops, int64_t min_tokens) {
  return absl::StrCat("tokens ", absl::CHexEscape(absl::StrJoin(tokens, "|")), "; stops ",
                      absl::CHexEscape(absl::StrJoin(stops, "|")), "; min_tokens ", min_tokens);
}

// The bytes of `text` from its last character on, if that is incomplete.
size_t IncompleteBytes(const std::string& text) {
  for (size_t back = 1; back <= std::min<size_t>(3, text.size()); ++back) {
    const auto lead = static_cast<unsigned char>(text[text.size() - back]);
    if (lead < 0x80) return 0;
    if (lead < 0xC0) continue;
    const size_t bytes = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    return back < bytes ? back : 0;
  }
  return 0;
}

// The definition, on the whole text. Where the first min_tokens tokens end in the text; the least
// end of a sequence that begins there or later; the longest of those that end there.
Result Naive(const Strings& tokens, const Strings& stops, int64_t min_tokens) {
  const std::string text = absl::StrJoin(tokens, "");
  size_t counts_from = 0;
  for (size_t i = 0; i < tokens.size() && static_cast<int64_t>(i) < min_tokens; ++i) {
    counts_from += tokens[i].size();
  }
  for (size_t end = 1; end <= text.size(); ++end) {
    std::optional<std::string> best;
    for (const std::string& stop : stops) {
      if (stop.size() > end || end - stop.size() < counts_from) continue;
      if (text.substr(end - stop.size(), stop.size()) != stop) continue;
      if (!best.has_value() || stop.size() > best->size()) best = stop;
    }
    if (!best.has_value()) continue;
    Result result{.text = text.substr(0, end - best->size()), .tokens = 0, .stop = best};
    size_t token_end = 0;
    for (const std::string& token : tokens) {
      token_end += token.size();
      if (token_end > result.text.size()) break;
      ++result.tokens;
    }
    return result;
  }
  return {.text = text, .tokens = tokens.size(), .stop = std::nullopt};
}

// How much of `text` can be a part of a sequence that is complete only later.
size_t NaiveHeld(const std::string& text, size_t counts_from, const Strings& stops) {
  for (size_t start = counts_from; start < text.size(); ++start) {
    for (const std::string& stop : stops) {
      if (stop.size() > text.size() - start &&
          stop.compare(0, text.size() - start, text.substr(start)) == 0) {
        return text.size() - start;
      }
    }
  }
  return 0;
}

// Feeds the tokens as a decoder would: whole characters only. Checks on the way that no more is
// held back than must be. `tokens` together: valid UTF-8, but for an incomplete end.
Result Match(const Strings& tokens, const Strings& stops, int64_t min_tokens) {
  StopMatcher matcher(stops, min_tokens);
  Result result;
  std::string seen, bytes;
  const auto take = [&result](const StopMatcher::Output& output) {
    result.text += output.text;
    result.tokens += output.tokens;
    result.stop = output.stop;
    return output.stop.has_value();
  };
  size_t counts_from = 0, count = 0;
  for (const std::string& token : tokens) {
    if (static_cast<int64_t>(count++) < min_tokens) counts_from += token.size();
    bytes += token;
    const std::string held = bytes.substr(bytes.size() - IncompleteBytes(bytes));
    const std::string text = bytes.substr(0, bytes.size() - held.size());
    bytes = held;
    seen += text;
    if (take(matcher.Push(text, !held.empty()))) return result;
    EXPECT_EQ(seen.size() - result.text.size(), NaiveHeld(seen, counts_from, stops));
  }
  std::string rest;
  for (size_t i = 0; i < bytes.size(); ++i) rest += kReplacement;
  if (!take(matcher.PushEnd(rest))) take(matcher.Flush());
  return result;
}

Strings Split(const std::string& text, uint32_t cuts) {
  Strings tokens(1);
  for (size_t i = 0; i < text.size(); ++i) {
    tokens.back() += text[i];
    if (i + 1 < text.size() && (cuts >> i & 1) != 0) tokens.emplace_back();
  }
  return tokens;
}

void ExpectAsDefinedForEverySplit(const std::string& text, const Strings& stops) {
  for (uint32_t cuts = 0; cuts < uint32_t{1} << (text.size() - 1); ++cuts) {
    const Strings tokens = Split(text, cuts);
    for (int64_t min_tokens = 0; min_tokens <= 3; ++min_tokens) {
      SCOPED_TRACE(Describe(tokens, stops, min_tokens));
      ASSERT_EQ(Match(tokens, stops, min_tokens), Naive(tokens, stops, min_tokens));
      if (testing::Test::HasFailure()) return;
    }
  }
}

TEST(StopMatcherTest, EverySplitOfEveryShortTextGivesWhatTheDefinitionSays) {
  const std::vector<Strings> sets = {{"a"},         {"ab"},         {"aab"},        {"aba"},
                                     {"bb", "abb"}, {"ab", "aab"},  {"aa", "aaa"},  {"ba", "abab"},
                                     {"abaab"},     {"b", "aabba"}, {"abbb", "bba"}};
  for (size_t size = 1; size <= 7; ++size) {
    for (uint32_t bits = 0; bits < (uint32_t{1} << size); ++bits) {
      std::string text;
      for (size_t i = 0; i < size; ++i) text += (bits >> i & 1) != 0 ? 'b' : 'a';
      for (const Strings& stops : sets) {
        ExpectAsDefinedForEverySplit(text, stops);
        if (HasFatalFailure() || HasFailure()) return;
      }
    }
  }
}

TEST(StopMatcherTest, TokensMayEndInsideCharacters) {
  for (const Strings& stops : std::vector<Strings>{
           {"\u00e9"}, {"\U0001F600"}, {"\U0001F600z"}, {"a\u00e9", "z"}, {"\u20ac\u00e9"}}) {
    for (const char* const text : {"a\u00e9\U0001F600z", "\U0001F600\u00e9z", "\u20ac\u00e9\u00e9z",
                                   "\u00e9a\u20acz\U0001F600"}) {
      ExpectAsDefinedForEverySplit(text, stops);
      if (HasFatalFailure() || HasFailure()) return;
    }
  }
}

TEST(StopMatcherTest, RandomRepliesGiveWhatTheDefinitionSays) {
  std::mt19937 random(1);
  const auto pick = [&random](size_t n) {
    return std::uniform_int_distribution<size_t>(0, n - 1)(random);
  };
  const Strings letters = {"a", "b", "c", "\u00e9", "\U0001F600"};
  const auto word = [&](size_t longest) {
    std::string text;
    for (size_t n = 1 + pick(longest); n > 0; --n) text += letters[pick(letters.size())];
    return text;
  };
  for (int i = 0; i < 20'000; ++i) {
    Strings stops;
    for (size_t n = 1 + pick(4); n > 0; --n) stops.push_back(word(4));
    const std::string text = word(24);
    Strings tokens;
    for (size_t at = 0; at < text.size();) {
      if (pick(6) == 0) tokens.emplace_back();  // A control token.
      // Not inside a character whose bytes a token without text would part.
      const size_t size = 1 + pick(5);
      tokens.push_back(text.substr(at, size));
      at += size;
      while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) {
        tokens.push_back(text.substr(at++, 1));
      }
    }
    const auto min_tokens = static_cast<int64_t>(pick(5));
    SCOPED_TRACE(Describe(tokens, stops, min_tokens));
    ASSERT_EQ(Match(tokens, stops, min_tokens), Naive(tokens, stops, min_tokens));
    if (HasFailure()) return;
  }
}

TEST(StopMatcherTest, AReplyThatEndsInsideACharacterGivesItsTokensAndReplacements) {
  const Result result = Match({"a", "\xF0", "\x9F"}, {"b"}, 0);
  EXPECT_EQ(result.text, absl::StrCat("a", kReplacement, kReplacement));
  EXPECT_EQ(result.tokens, 3u);
}

TEST(StopMatcherTest, BytesThatBecameNoCharacterAreNoPartOfTheStopSequenceAfterThem) {
  StopMatcher matcher({"END"}, 0);
  EXPECT_EQ(matcher.Push("", true).tokens, 0u);
  EXPECT_EQ(matcher.Push("", true).tokens, 0u);
  const auto output = matcher.Push(absl::StrCat(kReplacement, kReplacement, "END"), false);
  EXPECT_EQ(output.text, absl::StrCat(kReplacement, kReplacement));
  EXPECT_EQ(output.tokens, 2u);
  EXPECT_EQ(output.stop, "END");
}

TEST(StopMatcherTest, AByteThatOpensTheNextCharacterIsNotReportedWithTheLast) {
  StopMatcher matcher({"END"}, 0);
  matcher.Push("", true);
  const auto output = matcher.Push(kReplacement, true);
  EXPECT_EQ(output.text, kReplacement);
  EXPECT_EQ(output.tokens, 1u);
  EXPECT_EQ(matcher.Push("\u00e9", false).tokens, 2u);
}

TEST(StopMatcherTest, ACharacterBegunTooEarlyDoesNotCountHoweverLateItIsComplete) {
  StopMatcher matcher({"\U0001F600"}, 1);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(matcher.Push("", true).stop, std::nullopt);
  EXPECT_EQ(matcher.Push("\U0001F600", false).stop, std::nullopt);
  EXPECT_EQ(matcher.Push("\U0001F600", false).stop, "\U0001F600");
}

TEST(StopMatcherTest, OfTwoCompleteAtOnceTheLongerWins) {
  EXPECT_EQ(Match({"xab"}, {"b", "ab"}, 0), (Result{.text = "x", .tokens = 0, .stop = "ab"}));
}

TEST(StopMatcherTest, TheFirstToBeCompleteWinsOverAnEarlierBegun) {
  EXPECT_EQ(Match({"abc"}, {"abc", "b"}, 0), (Result{.text = "a", .tokens = 0, .stop = "b"}));
}

}  // namespace
}  // namespace llama
