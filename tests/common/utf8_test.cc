#include "common/utf8.h"

#include <string>

#include "gtest/gtest.h"

namespace llama {
namespace {

// By RFC 3629's definition: the character of the bytes, or 0 bytes.
Utf8Char Defined(const std::string& text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const size_t length = byte(0) < 0x80              ? 1
                        : (byte(0) >> 5) == 0b110   ? 2
                        : (byte(0) >> 4) == 0b1110  ? 3
                        : (byte(0) >> 3) == 0b11110 ? 4
                                                    : 0;
  if (length == 0 || text.size() < length) return {};
  if (length == 1) return {byte(0), 1};
  char32_t code_point = byte(0) & ((1 << (7 - length)) - 1);
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) >> 6) != 0b10) return {};
    code_point = code_point << 6 | (byte(i) & 0x3F);
  }
  static constexpr char32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  if (code_point < kLeast[length] || code_point > 0x10FFFF ||
      (code_point >= 0xD800 && code_point <= 0xDFFF)) {
    return {};
  }
  return {code_point, length};
}

TEST(Utf8Test, EveryStartOfThreeBytesIsReadAsRfc3629DefinesIt) {
  for (uint32_t bytes = 0; bytes < 1 << 24; bytes += (bytes & 0xFF) < 0xF0 ? 7 : 1) {
    // The fourth byte goes through its few kinds.
    for (const uint8_t fourth : {0x80, 0xBF, 0x41}) {
      const std::string text = {static_cast<char>(bytes >> 16), static_cast<char>(bytes >> 8),
                                static_cast<char>(bytes), static_cast<char>(fourth)};
      if (static_cast<uint8_t>(text[0]) < 0xC0 && fourth != 0x80) continue;
      const Utf8Char expected = Defined(text);
      const Utf8Char found = FirstChar(text);
      ASSERT_EQ(found.bytes, expected.bytes) << std::hex << bytes;
      if (expected.bytes > 0) {
        ASSERT_EQ(found.code_point, expected.code_point) << std::hex << bytes;
      }
    }
  }
}

TEST(Utf8Test, IncompleteIsWhatSomeBytesWouldComplete) {
  static constexpr uint8_t kTrails[] = {0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF};
  const auto completable = [](const std::string& text) {
    for (const uint8_t a : kTrails) {
      for (const uint8_t b : kTrails) {
        for (const uint8_t c : kTrails) {
          const std::string more = text + std::string({static_cast<char>(a), static_cast<char>(b),
                                                       static_cast<char>(c)});
          if (Defined(more).bytes > text.size()) return true;
        }
      }
    }
    return false;
  };
  for (uint32_t first = 0; first < 256; ++first) {
    const std::string one(1, static_cast<char>(first));
    ASSERT_EQ(IsIncompleteChar(one), completable(one)) << first;
    if (first < 0xC0) continue;
    for (uint32_t second = 0; second < 256; ++second) {
      const std::string two = one + static_cast<char>(second);
      ASSERT_EQ(IsIncompleteChar(two), completable(two)) << first << " " << second;
      const std::string three = two + '\x80';
      ASSERT_EQ(IsIncompleteChar(three), completable(three)) << first << " " << second;
    }
  }
}

}  // namespace
}  // namespace llama
