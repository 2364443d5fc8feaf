#include <string>
#include <vector>

#include "clients/console/annotate.h"
#include "clients/console/emoji/table.h"
#include "clients/console/emoji_names.h"
#include "clients/console/marked_text.h"
#include "clients/console/sanitize.h"
#include "clients/console/utf8.h"
#include "common/utf8.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace llama {
namespace {

using ::testing::ElementsAre;

TEST(SanitizeTest, ControlCharactersAndEscapesBecomeVisible) {
  EXPECT_EQ(SanitizeForTerminal("\x1b[2J\x1b]0;title\x07"), "\\x1B[2J\\x1B]0;title\\x07");
  EXPECT_EQ(SanitizeForTerminal("a\rb\x7f\x08"), "a\\x0Db\\x7F\\x08");
  EXPECT_EQ(SanitizeForTerminal(absl::string_view("\0", 1)), "\\x00");
}

TEST(SanitizeTest, ControlCharactersBeyondAsciiBecomeVisible) {
  EXPECT_EQ(SanitizeForTerminal("\u009b2J\u0085"), "\\x9B2J\\x85");
  EXPECT_EQ(SanitizeForTerminal("\u202Eabc\u2066\u200F\u061C"), "\\u202Eabc\\u2066\\u200F\\u061C");
}

TEST(SanitizeTest, BytesThatAreNoUtf8BecomeVisible) {
  EXPECT_EQ(SanitizeForTerminal("a\xff\xc0\x80z"), "a\\xFF\\xC0\\x80z");
  EXPECT_EQ(SanitizeForTerminal("\xf0\x9f"), "\\xF0\\x9F");
}

TEST(SanitizeTest, EveryOtherCharacterIsKept) {
  const std::string text = "tab\t newline\n é 中 👀 👨‍👩‍👧 \u00a0 \ufffd";
  EXPECT_EQ(SanitizeForTerminal(text), text);
}

TEST(SanitizeTest, NoByteThatATerminalExecutesSurvives) {
  for (uint32_t c = 0; c < 256; ++c) {
    for (const char before : {'a', '\xc2', '\xe2', '\x1b'}) {
      const std::string safe = SanitizeForTerminal(std::string{before, static_cast<char>(c), 'm'});
      EXPECT_TRUE(IsValidUtf8(safe)) << c;
      for (size_t i = 0; i < safe.size(); i += DecodeCodePoint(safe, i).length) {
        const uint32_t value = DecodeCodePoint(safe, i).value;
        EXPECT_FALSE(IsShownEscaped(value)) << c;
      }
    }
  }
}

TEST(Utf8Test, SequencesAreOneCluster) {
  for (const char* const one : {"a", "é", "e\u0301", "👀", "🇹🇷", "👨‍👩‍👧‍👦",
                                "👋🏽", "1️⃣", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "한"}) {
    EXPECT_THAT(ClusterEnds(one), ElementsAre(std::string(one).size())) << one;
  }
  EXPECT_THAT(ClusterEnds("🇹🇷🇹🇷"), ElementsAre(8, 16));
  EXPECT_THAT(ClusterEnds("abc"), ElementsAre(1, 2, 3));
  EXPECT_THAT(ClusterEnds(""), ElementsAre());
}

TEST(Utf8Test, WidthsAreThoseOfTerminals) {
  EXPECT_EQ(DisplayWidth("abc"), 3);
  EXPECT_EQ(DisplayWidth("中"), 2);
  EXPECT_EQ(DisplayWidth("e\u0301"), 1);
  EXPECT_EQ(DisplayWidth("👀"), 2);
  EXPECT_EQ(DisplayWidth("❤️"), 2);
  EXPECT_EQ(DisplayWidth("🇹🇷"), 2);
}

TEST(EmojiNamesTest, TheTableIsSortedAndEveryEntryIsFound) {
  std::string before;
  for (const EmojiName& entry : EmojiTable()) {
    EXPECT_LT(before, entry.emoji);
    before = entry.emoji;
    EXPECT_EQ(EmojiShortName(entry.emoji), entry.name);
  }
  EXPECT_GT(EmojiTable().size(), 1800);
}

TEST(EmojiNamesTest, ACharacterIsDescribedByItsShortNameAndCode) {
  EXPECT_EQ(DescribeCharacter("👀"), "[:eyes:\\U0001F440]");
  EXPECT_EQ(DescribeCharacter("🇹🇷"), "[:flag_for_turkey:\\U0001F1F9\\U0001F1F7]");
  EXPECT_EQ(DescribeCharacter("👨‍👩‍👧"),
            "[:family_man_woman_girl:\\U0001F468\\U0000200D\\U0001F469\\U0000200D\\U0001F467]");
}

TEST(EmojiNamesTest, WithoutAShortNameTheUnicodeNameStands) {
  EXPECT_EQ(DescribeCharacter("\U0001F570"), "[:MANTELPIECE CLOCK:\\U0001F570]");
  EXPECT_EQ(DescribeCharacter("\u4E2D"), "[:CJK UNIFIED IDEOGRAPH-4E2D:\\U00004E2D]");
  EXPECT_EQ(DescribeCharacter("\U0001F1F9"), "[:REGIONAL INDICATOR SYMBOL LETTER T:\\U0001F1F9]");
  EXPECT_EQ(DescribeCharacter("\u0915\u093F"),
            "[:DEVANAGARI LETTER KA, DEVANAGARI VOWEL SIGN I:\\U00000915\\U0000093F]");
  EXPECT_EQ(DescribeCharacter("\uE000"), "[:<private use area-E000>:\\U0000E000]");
}

TEST(EmojiNamesTest, SkinTonesFollowTheName) {
  EXPECT_EQ(DescribeCharacter("👋🏽"), "[:wave_tone3:\\U0001F44B\\U0001F3FD]");
  // gemoji spells this one with a selector where the tone stands.
  EXPECT_EQ(EmojiShortName("🕵🏿"), "detective_tone5");
}

v1::Token ByteToken(uint8_t byte) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  v1::Token token;
  token.set_piece(std::string(1, static_cast<char>(byte)));
  token.set_spelling(std::string("<0x") + kDigits[byte >> 4] + kDigits[byte & 15] + ">");
  return token;
}

v1::Token WordToken(const std::string& piece) {
  v1::Token token;
  token.set_piece(piece);
  token.set_spelling(piece);
  return token;
}

// The tokens of `text` as bytes.
void AddBytes(absl::string_view text, v1::Delta& delta) {
  for (const char c : text) *delta.add_tokens() = ByteToken(static_cast<uint8_t>(c));
}

// The marks as a string: 'b' for each byte of a character that came as byte tokens.
std::string Marks(const MarkedText& text) {
  std::string marks;
  for (const bool mark : text.from_byte_tokens) marks += mark ? 'b' : '-';
  return marks;
}

TEST(MarkedTextTest, OnlySpellingsOfBytesAreByteTokens) {
  EXPECT_TRUE(IsByteToken(ByteToken(0xF0)));
  for (const char* const other : {"<0xG0>", "<0xF0", "0xF0", "<0xF00>", "<0xF0>x", "a", ""}) {
    EXPECT_FALSE(IsByteToken(WordToken(other))) << other;
  }
}

TEST(MarkedTextTest, CharactersOfByteTokensAreMarked) {
  v1::Delta delta;
  *delta.add_tokens() = WordToken(" a");
  AddBytes("👀", delta);
  *delta.add_tokens() = WordToken("中");
  delta.set_text(" a👀中");
  MarkedText text;
  TextMarker().Push(delta, text);
  EXPECT_EQ(text.text, " a👀中");
  EXPECT_EQ(Marks(text), "--bbbb---");
}

TEST(MarkedTextTest, TextThatComesLaterThanItsTokensIsMarked) {
  TextMarker marker;
  MarkedText text;
  const std::string eyes = "👀";
  for (size_t i = 0; i < 4; ++i) {
    v1::Delta delta;
    AddBytes(eyes.substr(i, 1), delta);
    if (i == 3) delta.set_text(eyes);
    marker.Push(delta, text);
  }
  EXPECT_EQ(Marks(text), "bbbb");
}

TEST(MarkedTextTest, ABlankThatAChatDropsDoesNotShiftTheMarks) {
  v1::Delta delta;
  *delta.add_tokens() = WordToken(" ");
  AddBytes("é", delta);
  *delta.add_tokens() = WordToken("x");
  delta.set_text("éx");
  MarkedText text;
  TextMarker().Push(delta, text);
  EXPECT_EQ(Marks(text), "bb-");
}

TEST(MarkedTextTest, BytesThatAreNoCharacterDoNotShiftTheMarks) {
  v1::Delta delta;
  *delta.add_tokens() = ByteToken(0x80);
  *delta.add_tokens() = ByteToken(0xF0);
  *delta.add_tokens() = WordToken("x");
  AddBytes("é", delta);
  delta.set_text("\ufffd\ufffdxé");
  MarkedText text;
  TextMarker().Push(delta, text);
  EXPECT_EQ(Marks(text).substr(6), "-bb");
}

MarkedText FromBytes(const std::string& text) {
  return {text, std::vector<bool>(text.size(), true)};
}

TEST(AnnotateTest, CharactersOfByteTokensAreFollowedByNameAndCode) {
  MarkedText text = FromBytes("👀");
  text.text = "a" + text.text + "b👀";
  text.from_byte_tokens = {false, true, true, true, true, false, false, false, false, false};
  EXPECT_EQ(Annotate(text, true), "a👀 [:eyes:\\U0001F440]b👀");
  EXPECT_EQ(Annotate(text, false), "a👀b👀");
}

TEST(AnnotateTest, NewlinesAsciiAndControlCharactersHaveNoNames) {
  EXPECT_EQ(Annotate(FromBytes("a\n\x1b\u009b\u202e"), true), "a\n\\x1B\\x9B\\u202E");
}

TEST(AnnotateTest, PartsAreRegroupedAsTheyArrive) {
  EXPECT_EQ(Annotate(FromBytes("👨‍👩‍👧"), true),
            "👨‍👩‍👧 "
            "[:family_man_woman_girl:\\U0001F468\\U0000200D\\U0001F469\\U0000200D\\U0001F467]");
  EXPECT_EQ(Annotate(FromBytes("👨‍👩‍👧‍👦"), true),
            "👨‍👩‍👧‍👦 "
            "[:family_man_woman_girl_boy:\\U0001F468\\U0000200D\\U0001F469\\U0000200D\\U0001F467"
            "\\U0000200D\\U0001F466]");
  EXPECT_EQ(Annotate(FromBytes("🇹🇷🇩🇪"), true),
            "🇹🇷 [:flag_for_turkey:\\U0001F1F9\\U0001F1F7]🇩🇪 "
            "[:flag_for_germany:\\U0001F1E9\\U0001F1EA]");
}

// Whatever the text and its marks, printing it bit by bit gives what printing it at once gives.
TEST(AnnotateTest, HoweverTheTextIsCutTheOutputIsTheSame) {
  const std::string text =
      "Hi 👨‍👩‍👧‍👦🇹🇷x e\u0301 👋🏽!\r\n中\u0915\u093F1️⃣ \x1b[m "
      "end👀";
  for (const bool marked : {false, true}) {
    const MarkedText whole = {text, std::vector<bool>(text.size(), marked)};
    for (size_t step = 1; step < 40; ++step) {
      AnnotatedText printed(true);
      std::string out;
      MarkedText part;
      size_t next = 0;
      for (size_t i = 0; i < text.size();) {
        i += DecodeCodePoint(text, i).length;
        if (i < next && i < text.size()) continue;
        next = i + step;
        part = {text.substr(0, i), std::vector<bool>(i, marked)};
        out += printed.Advance(part, false);
      }
      out += printed.Advance(part, true);
      EXPECT_EQ(out, Annotate(whole, true)) << step;
    }
  }
}

TEST(AnnotateTest, PlainTextIsPrintedWithoutDelay) {
  AnnotatedText printed(true);
  EXPECT_EQ(printed.Advance({"é", {false, false}}, false), "é");
  EXPECT_EQ(printed.Advance({"éa", {false, false, false}}, false), "a");
}

}  // namespace
}  // namespace llama
