#include "common/printable.h"

#include <string>

#include "gtest/gtest.h"

namespace llama {
namespace {

TEST(PrintableTest, WhatATerminalWouldActOnIsWrittenOut) {
  EXPECT_EQ(Printable("a\nb\r\t"), "a\\nb\\x0d\\x09");
  EXPECT_EQ(Printable("\x1b[2J\x07\x7f"), "\\x1b[2J\\x07\\x7f");
  EXPECT_EQ(Printable(std::string("\0", 1)), "\\x00");
  EXPECT_EQ(Printable("\u009b2J"), "\\x9b2J") << "the same as ESC [ to some";
  EXPECT_EQ(Printable("\x9b"
                      "2J\xff"),
            "\\x9b2J\\xff")
      << "no UTF-8";
  EXPECT_EQ(Printable("\u202egpj.exe\u2066\u2028"), "\\u202egpj.exe\\u2066\\u2028");
  EXPECT_EQ(Printable("\xE2\x96"), "\\xe2\\x96");
}

TEST(PrintableTest, WhatIsPrintableStays) {
  for (const char* const text : {"", "plain", "▁Hello é👀", "\"quoted\" 'text'", "back\\slash"}) {
    EXPECT_EQ(Printable(text), text);
  }
  for (const char* const text : {"\x1b[2J\n\xff\u202e", "\\x1b"}) {
    EXPECT_EQ(Printable(Printable(text)), Printable(text));
  }
}

TEST(PrintableTest, JsonIsValidWhateverItHolds) {
  EXPECT_EQ(PrintableJson("a\"b\\c\n\x1b\u009b"), "a\\\"b\\\\c\\u000a\\u001b\\u009b");
  EXPECT_EQ(PrintableJson("\xff\xE2\x96z"), "\uFFFD\uFFFD\uFFFDz");
  EXPECT_EQ(PrintableJson("é👀"), "é👀");
}

}  // namespace
}  // namespace llama
