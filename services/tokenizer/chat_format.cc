#include "services/tokenizer/chat_format.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status_details.h"
#include "common/utf8.h"

namespace llama {
namespace {

constexpr absl::string_view kBeginInstruction = "[INST]";
constexpr absl::string_view kEndInstruction = "[/INST]";
constexpr absl::string_view kBeginSystem = "<<SYS>>";
constexpr absl::string_view kEndSystem = "<</SYS>>";

// White space as Python's str.strip() sees it.
bool IsBlank(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
         c == 0x205F || c == 0x3000;
}

absl::string_view Strip(absl::string_view text) {
  while (!text.empty()) {
    const Utf8Char first = FirstChar(text);
    if (first.bytes == 0 || !IsBlank(first.code_point)) break;
    text.remove_prefix(first.bytes);
  }
  while (!text.empty()) {
    size_t start = text.size() - 1;
    while (start > 0 && (static_cast<uint8_t>(text[start]) & 0xC0) == 0x80) --start;
    const Utf8Char last = FirstChar(text.substr(start));
    if (last.bytes != text.size() - start || !IsBlank(last.code_point)) break;
    text.remove_suffix(last.bytes);
  }
  return text;
}

absl::Status CheckOrder(std::span<const ChatMessage> messages) {
  if (messages.empty())
    return FieldInvalid("prompt.chat.messages", "expected at least one message");
  const size_t first_user = messages[0].role == Role::kSystem ? 1 : 0;
  for (size_t i = first_user; i < messages.size(); ++i) {
    const bool user_turn = (i - first_user) % 2 == 0;
    if (messages[i].role == (user_turn ? Role::kUser : Role::kAssistant)) continue;
    return FieldInvalid(absl::StrCat("prompt.chat.messages[", i, "]"),
                        absl::StrCat("expected a message of the ", user_turn ? "user" : "assistant",
                                     " (a system message may only be the first; then user and "
                                     "assistant take turns)"));
  }
  if (messages.back().role != Role::kUser) {
    return FieldInvalid(absl::StrCat("prompt.chat.messages[", messages.size() - 1, "]"),
                        "expected the last message to be the user's");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<RenderedChat> RenderChat(std::span<const ChatMessage> messages) {
  if (absl::Status status = CheckOrder(messages); !status.ok()) return status;
  RenderedChat chat;
  int64_t before = 0;  // Bytes of the turns before the current one.
  std::string turn = absl::StrCat(kBeginInstruction, " ");
  const auto append_content = [&](absl::string_view content) {
    const int64_t begin = before + static_cast<int64_t>(turn.size());
    absl::StrAppend(&turn, content);
    chat.contents.push_back({begin, begin + static_cast<int64_t>(content.size())});
  };
  const auto end_turn = [&](bool answered) {
    before += static_cast<int64_t>(turn.size());
    chat.turns.push_back({std::exchange(turn, absl::StrCat(kBeginInstruction, " ")), answered});
  };
  for (const ChatMessage& message : messages) {
    switch (message.role) {
      case Role::kSystem:
        absl::StrAppend(&turn, kBeginSystem, "\n");
        append_content(Strip(message.content));
        absl::StrAppend(&turn, "\n", kEndSystem, "\n\n");
        break;
      case Role::kAssistant:
        absl::StrAppend(&turn, " ");
        append_content(Strip(message.content));
        absl::StrAppend(&turn, " ");
        end_turn(true);
        break;
      default:
        append_content(Strip(message.content));
        absl::StrAppend(&turn, " ", kEndInstruction);
    }
  }
  end_turn(false);
  return chat;
}

std::optional<absl::string_view> FindTag(absl::string_view content) {
  for (const absl::string_view tag :
       {kBeginInstruction, kEndInstruction, kBeginSystem, kEndSystem}) {
    if (content.find(tag) != absl::string_view::npos) return tag;
  }
  return std::nullopt;
}

}  // namespace llama
