#ifndef LLAMA_SERVICES_TOKENIZER_CHAT_FORMAT_H_
#define LLAMA_SERVICES_TOKENIZER_CHAT_FORMAT_H_

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/tokenizer/offsets.h"

namespace llama {

enum class Role { kUnspecified, kSystem, kUser, kAssistant };

struct ChatMessage {
  Role role = Role::kUnspecified;
  std::string content;
};

// One exchange of a rendered dialogue: encoded as <s> text, and </s> behind it if it has an answer.
struct RenderedTurn {
  std::string text;
  bool answered = false;
};

struct RenderedChat {
  std::vector<RenderedTurn> turns;
  // Where each message's (stripped) content lies in the turns' texts put end to end, in bytes.
  std::vector<Range> contents;
};

// Llama 2's chat format, as chat_completion() of Meta's llama/generation.py builds it:
// "[INST] <<SYS>>\n{system}\n<</SYS>>\n\n{user} [/INST] {assistant} ", a new turn for every user
// message, contents stripped of white space. Errors: FIELD_INVALID, naming "prompt.chat.messages"
// if empty, or the first message that is out of order.
absl::StatusOr<RenderedChat> RenderChat(std::span<const ChatMessage> messages);

// The first tag of the chat format in `content`: "[INST]", "[/INST]", "<<SYS>>" or "<</SYS>>".
std::optional<absl::string_view> FindTag(absl::string_view content);

}  // namespace llama

#endif  // LLAMA_SERVICES_TOKENIZER_CHAT_FORMAT_H_
