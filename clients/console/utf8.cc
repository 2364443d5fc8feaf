#include "clients/console/utf8.h"

#include <unicode/ubrk.h>
#include <unicode/uchar.h>
#include <unicode/utext.h>
#include <unicode/utf8.h>

#include <algorithm>

namespace llama {
namespace {

constexpr uint32_t kSoftHyphen = 0xAD;
constexpr uint32_t kEmojiPresentation = 0xFE0F;  // Variation selector 16: drawn two columns wide.

int64_t CodePointWidth(uint32_t c) {
  switch (u_charType(static_cast<UChar32>(c))) {
    case U_NON_SPACING_MARK:
    case U_ENCLOSING_MARK:
      return 0;
    case U_FORMAT_CHAR:
      return c == kSoftHyphen ? 1 : 0;
    default:
      break;
  }
  const int32_t width = u_getIntPropertyValue(static_cast<UChar32>(c), UCHAR_EAST_ASIAN_WIDTH);
  return width == U_EA_WIDE || width == U_EA_FULLWIDTH ? 2 : 1;
}

bool IsPlainAscii(absl::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<signed char>(c) >= 0 && c != '\r'; });
}

}  // namespace

CodePoint DecodeCodePoint(absl::string_view text, size_t at) {
  const absl::string_view bytes = text.substr(at, 4);
  const auto* const source = reinterpret_cast<const uint8_t*>(bytes.data());
  int32_t used = 0;
  UChar32 c = 0;
  U8_NEXT(source, used, static_cast<int32_t>(bytes.size()), c);
  if (c < 0) return {0xFFFD, 1, false};
  return {static_cast<uint32_t>(c), static_cast<size_t>(used), true};
}

std::vector<size_t> ClusterEnds(absl::string_view text) {
  std::vector<size_t> ends;
  UErrorCode error = U_ZERO_ERROR;
  UText* source = nullptr;
  UBreakIterator* breaks = nullptr;
  if (!IsPlainAscii(text)) {
    source = utext_openUTF8(nullptr, text.data(), static_cast<int64_t>(text.size()), &error);
    breaks = ubrk_open(UBRK_CHARACTER, "", nullptr, 0, &error);
    if (U_SUCCESS(error)) ubrk_setUText(breaks, source, &error);
  }
  if (breaks != nullptr && U_SUCCESS(error)) {
    for (int32_t end = ubrk_next(breaks); end != UBRK_DONE; end = ubrk_next(breaks)) {
      ends.push_back(static_cast<size_t>(end));
    }
  } else {  // ASCII; or ICU has no data, and code points must do.
    for (size_t i = 0; i < text.size();) {
      i += DecodeCodePoint(text, i).length;
      ends.push_back(i);
    }
  }
  if (breaks != nullptr) ubrk_close(breaks);
  if (source != nullptr) utext_close(source);
  return ends;
}

int64_t DisplayWidth(absl::string_view text) {
  int64_t width = 0;
  int64_t last = 0;
  for (size_t i = 0; i < text.size();) {
    const CodePoint c = DecodeCodePoint(text, i);
    // A narrow symbol that is asked to be drawn as an emoji grows by a column.
    const int64_t own = c.value == kEmojiPresentation && last == 1 ? 1 : CodePointWidth(c.value);
    width += own;
    last = own;
    i += c.length;
  }
  return width;
}

}  // namespace llama
