#include "clients/console/emoji_names.h"

#include <unicode/uchar.h>

#include <algorithm>
#include <array>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "clients/console/emoji/table.h"
#include "clients/console/utf8.h"

namespace llama {
namespace {

constexpr uint32_t kFirstTone = 0x1F3FB;
constexpr uint32_t kLastTone = 0x1F3FF;
constexpr absl::string_view kEmojiPresentation = "\uFE0F";

std::optional<std::string> Find(absl::string_view emoji) {
  const std::span<const EmojiName> table = EmojiTable();
  const auto found = std::lower_bound(
      table.begin(), table.end(), emoji,
      [](const EmojiName& entry, absl::string_view text) { return entry.emoji < text; });
  if (found == table.end() || found->emoji != emoji) return std::nullopt;
  return found->name;
}

// Joiners and variation selectors are part of the code and say nothing as names.
bool IsConnector(uint32_t c) { return c == 0x200D || (c >= 0xFE00 && c <= 0xFE0F); }

std::string UnicodeName(uint32_t c) {
  std::array<char, 256> name = {};
  UErrorCode error = U_ZERO_ERROR;
  const int32_t length = u_charName(static_cast<UChar32>(c), U_EXTENDED_CHAR_NAME, name.data(),
                                    static_cast<int32_t>(name.size()), &error);
  if (U_FAILURE(error) || length <= 0) return absl::StrFormat("U+%04X", c);
  return std::string(name.data(), static_cast<size_t>(length));
}

}  // namespace

std::optional<std::string> EmojiShortName(absl::string_view emoji) {
  if (std::optional<std::string> name = Find(emoji); name.has_value()) return name;
  // A skin tone takes the place of the selector that gemoji's spelling may have there.
  std::string bare;
  std::string with_selector;
  std::string tones;
  for (size_t i = 0; i < emoji.size();) {
    const CodePoint c = DecodeCodePoint(emoji, i);
    if (c.value >= kFirstTone && c.value <= kLastTone) {
      absl::StrAppend(&tones, "_tone", c.value - kFirstTone + 1);
      absl::StrAppend(&with_selector, kEmojiPresentation);
    } else {
      bare.append(emoji.data() + i, c.length);
      with_selector.append(emoji.data() + i, c.length);
    }
    i += c.length;
  }
  if (tones.empty() || bare.empty()) return std::nullopt;
  std::optional<std::string> name = Find(bare);
  if (!name.has_value()) name = Find(with_selector);
  if (!name.has_value()) return std::nullopt;
  return absl::StrCat(*name, tones);
}

std::string DescribeCharacter(absl::string_view character) {
  std::string codes;
  std::vector<std::string> names;
  for (size_t i = 0; i < character.size();) {
    const CodePoint c = DecodeCodePoint(character, i);
    absl::StrAppendFormat(&codes, "\\U%08X", c.value);
    if (!IsConnector(c.value) || character.size() == c.length)
      names.push_back(UnicodeName(c.value));
    i += c.length;
  }
  const std::optional<std::string> name = EmojiShortName(character);
  return absl::StrCat("[:", name.has_value() ? *name : absl::StrJoin(names, ", "), ":", codes, "]");
}

}  // namespace llama
