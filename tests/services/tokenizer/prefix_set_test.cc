#include "services/tokenizer/prefix_set.h"

#include <random>
#include <set>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace llama {
namespace {

TEST(PrefixSetTest, TheLongestPrefixIsFound) {
  std::mt19937 random(1);
  const auto draw = [&random](size_t most) {
    std::string text;
    for (size_t n = random() % most; n > 0; --n) text += static_cast<char>('a' + random() % 2);
    return text;
  };
  for (int round = 0; round < 200; ++round) {
    std::set<std::string> strings;
    for (uint32_t n = random() % 30; n > 0; --n) {
      if (std::string text = draw(9); !text.empty()) strings.insert(std::move(text));
    }
    const PrefixSet set(std::vector<absl::string_view>(strings.begin(), strings.end()));
    for (int i = 0; i < 100; ++i) {
      const std::string text = draw(12);
      size_t expected = 0;
      for (const std::string& string : strings) {
        if (text.substr(0, string.size()) == string) expected = std::max(expected, string.size());
      }
      ASSERT_EQ(set.LongestPrefix(text), expected) << text;
    }
  }
}

// Made so that each string shares a byte more with the text: a search for each would take minutes.
TEST(PrefixSetTest, NoSetMakesALongTextSlow) {
  std::vector<std::string> strings;
  std::vector<std::string> nested;
  for (size_t n = 1; n < 4096; ++n) {
    strings.push_back(std::string(n, 'a') + '!');
    nested.push_back(std::string(n, 'a'));
  }
  const PrefixSet set(std::vector<absl::string_view>(strings.begin(), strings.end()));
  const PrefixSet chain(std::vector<absl::string_view>(nested.begin(), nested.end()));
  const std::string text(20'000, 'a');
  std::string other;
  while (other.size() < 20'000) other += "ab";
  for (size_t i = 0; i < text.size(); ++i) {
    ASSERT_EQ(set.LongestPrefix(absl::string_view(text).substr(i)), 0u);
    ASSERT_EQ(chain.LongestPrefix(absl::string_view(other).substr(i)), i % 2 == 0 ? 1u : 0u);
  }
}

TEST(PrefixSetTest, BytesCompareAsUnsigned) {
  const PrefixSet set({"a", "\xFF", "\xFF\x01", "\x7F"});
  EXPECT_EQ(set.LongestPrefix("\xFF\x01z"), 2u);
  EXPECT_EQ(set.LongestPrefix("\xFF\xFF"), 1u);
  EXPECT_EQ(set.LongestPrefix("\x80"), 0u);
  EXPECT_EQ(PrefixSet().LongestPrefix("a"), 0u);
}

}  // namespace
}  // namespace llama
