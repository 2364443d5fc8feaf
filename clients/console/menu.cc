#include "clients/console/menu.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "clients/console/sanitize.h"
#include "clients/console/styled_text.h"
#include "common/utf8.h"

namespace llama {
namespace {

constexpr int kIndent = 22;  // Of a chat item's second line.

absl::string_view ModeOf(MenuKind kind) {
  const bool completion = kind == MenuKind::kCompletion || kind == MenuKind::kManualCompletion;
  return completion ? "[Text completion]" : "[Chat mode]";
}

std::string RenderItem(size_t number, const MenuItem& item, bool bold) {
  const auto line = [number](absl::string_view mode, absl::string_view text) {
    return absl::StrFormat("%2d. %-17s %s\n", number, mode, text);
  };
  const std::string prompt =
      absl::StrCat(Bold("Prompt:", bold), " ", SanitizeForTerminal(item.prompt));
  switch (item.kind) {
    case MenuKind::kMetadata:
      return line("", "Print model metadata (tensor list, hyperparameters, etc...)");
    case MenuKind::kManualCompletion:
    case MenuKind::kManualChat:
      return line(ModeOf(item.kind), "Other, manual input");
    case MenuKind::kCompletion:
      return line(ModeOf(item.kind), prompt);
    case MenuKind::kChat:
      if (item.system.empty()) return line(ModeOf(item.kind), prompt);
      return absl::StrCat(line(ModeOf(item.kind), absl::StrCat(Bold("System Prompt:", bold), " ",
                                                               SanitizeForTerminal(item.system))),
                          std::string(kIndent, ' '), prompt, "\n");
  }
  return "";
}

}  // namespace

std::vector<MenuItem> PredefinedItems() {
  return {
      {MenuKind::kMetadata, "", ""},
      {MenuKind::kCompletion, "", "Hello, my name is"},
      {MenuKind::kChat, "You are Einstein", "Describe your theory."},
      {MenuKind::kChat, "Answer in 20 words, directly, and without an introduction",
       "Can you explain what is Theory of relativity?"},
      {MenuKind::kChat, "You are a pirate", "Explain what is quantum computer in 20 words."},
      {MenuKind::kChat, "Always answer with emojis", "How to go from Beijing to NY?"},
      {MenuKind::kChat, "Answer with only one emoji", "What is the flag of Turkey?"},
      {MenuKind::kManualCompletion, "", ""},
      {MenuKind::kManualChat, "", ""},
  };
}

absl::StatusOr<PromptsFile> ParsePromptsFile(absl::string_view content, absl::string_view name) {
  PromptsFile file;
  int64_t number = 0;
  for (absl::string_view line : absl::StrSplit(content, '\n')) {
    ++number;
    line = absl::StripSuffix(line, "\r");
    if (line.empty() || line[0] == '#') continue;
    const std::vector<std::string> fields = absl::StrSplit(line, '\t');
    if (!IsValidUtf8(line)) {
      return absl::InvalidArgumentError(absl::StrCat(name, ":", number, ": not valid UTF-8"));
    }
    if (fields.size() == 2 && fields[0] == "model" && !fields[1].empty()) {
      file.model = fields[1];
    } else if (fields.size() == 2 && fields[0] == "completion" && !fields[1].empty()) {
      file.items.push_back({MenuKind::kCompletion, "", fields[1]});
    } else if (fields.size() == 3 && fields[0] == "chat" && !fields[2].empty()) {
      file.items.push_back({MenuKind::kChat, fields[1], fields[2]});
    } else {
      return absl::InvalidArgumentError(
          absl::StrCat(name, ":", number,
                       ": expected completion<TAB>PROMPT, chat<TAB>SYSTEM<TAB>PROMPT or "
                       "model<TAB>NAME, found ",
                       line));
    }
  }
  return file;
}

std::string RenderMenu(const std::vector<MenuItem>& items, bool bold) {
  std::string text = absl::StrCat(
      Bold("Select from our predefined prompts (latest two are for manual input):", bold), "\n");
  for (size_t i = 0; i < items.size(); ++i) absl::StrAppend(&text, RenderItem(i, items[i], bold));
  absl::StrAppend(
      &text, "\n",
      Bold(absl::StrFormat("Your choice (choose 0 to %d and press Enter):", items.size() - 1),
           bold),
      " ");
  return text;
}

absl::StatusOr<size_t> ParseChoice(absl::string_view line, size_t items) {
  int64_t number = 0;
  if (!absl::SimpleAtoi(absl::StripAsciiWhitespace(line), &number)) {
    return absl::InvalidArgumentError("Not a valid number.");
  }
  if (number < 0 || number >= static_cast<int64_t>(items)) {
    return absl::InvalidArgumentError(
        absl::StrCat("Choice must be between 0 and ", items - 1, "."));
  }
  return static_cast<size_t>(number);
}

}  // namespace llama
