#ifndef LLAMA_CLIENTS_CONSOLE_EMOJI_TABLE_H_
#define LLAMA_CLIENTS_CONSOLE_EMOJI_TABLE_H_

#include <span>

namespace llama {

struct EmojiName {
  const char* emoji;  // UTF-8.
  const char* name;   // "eyes", "flag_for_turkey".
};

// Every emoji that gemoji names, sorted by bytes. Source: make_table.mjs.
std::span<const EmojiName> EmojiTable();

}  // namespace llama

#endif  // LLAMA_CLIENTS_CONSOLE_EMOJI_TABLE_H_
