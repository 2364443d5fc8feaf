#ifndef LLAMA_CLIENTS_CONSOLE_EMOJI_NAMES_H_
#define LLAMA_CLIENTS_CONSOLE_EMOJI_NAMES_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace llama {

// The short name of an emoji, given as gemoji spells it, to the code point: "eyes",
// "flag_for_turkey". Skin tones are left out in the search and follow the name: "wave_tone3".
std::optional<std::string> EmojiShortName(absl::string_view emoji);

// The name and the code of a character, which may be a sequence: "[:eyes:\U0001F440]". Without a
// short name, the Unicode names of its parts: "[:MANTELPIECE CLOCK:\U0001F570]".
std::string DescribeCharacter(absl::string_view character);

}  // namespace llama

#endif  // LLAMA_CLIENTS_CONSOLE_EMOJI_NAMES_H_
