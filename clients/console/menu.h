#ifndef LLAMA_CLIENTS_CONSOLE_MENU_H_
#define LLAMA_CLIENTS_CONSOLE_MENU_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace llama {

enum class MenuKind { kMetadata, kCompletion, kChat, kManualCompletion, kManualChat };

struct MenuItem {
  MenuKind kind = MenuKind::kMetadata;
  std::string system;  // kChat; may be empty.
  std::string prompt;  // kCompletion, kChat.
};

// Items 0 to 8, whose numbers never change.
std::vector<MenuItem> PredefinedItems();

// Further items, the prompts of one model.
struct PromptsFile {
  std::string model;  // Its name, as the gateway tells it; empty: any.
  std::vector<MenuItem> items;
};

// Reads a file of lines: "completion<TAB>PROMPT", "chat<TAB>SYSTEM<TAB>PROMPT" or "model<TAB>NAME";
// empty lines and lines that start with # are skipped. Errors: INVALID_ARGUMENT, naming the line.
absl::StatusOr<PromptsFile> ParsePromptsFile(absl::string_view content, absl::string_view name);

// The menu as it is printed, with the question, whose line does not end, behind it. `bold`: with
// ANSI escapes.
std::string RenderMenu(const std::vector<MenuItem>& items, bool bold);

// Which item a line chooses; blanks around the number do not matter. Errors: INVALID_ARGUMENT with
// what to print.
absl::StatusOr<size_t> ParseChoice(absl::string_view line, size_t items);

}  // namespace llama

#endif  // LLAMA_CLIENTS_CONSOLE_MENU_H_
