#include "clients/console/menu_session.h"

#include <optional>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "clients/console/explain_status.h"
#include "clients/console/metadata.h"
#include "clients/console/reply_view.h"
#include "clients/console/sanitize.h"
#include "clients/console/styled_text.h"
#include "clients/console/terminal.h"
#include "common/status_macros.h"
#include "common/utf8.h"

namespace llama {
namespace {

constexpr absl::string_view kAskPrompt = "Write down your prompt and press Enter:";
constexpr absl::string_view kAskSystem =
    "Write down your \"system prompt\" (optional, will be surrounded by <<SYS>> and <</SYS>>) and "
    "press Enter:";
constexpr absl::string_view kAskChatPrompt =
    "Write down your prompt (will be surrounded by [INST] and [/INST]) and press Enter:";
constexpr absl::string_view kAskNextTurn =
    "Write down your next prompt (an empty line returns to the menu) and press Enter:";

enum class Next { kMenu, kLeave };

class MenuSession {
 public:
  MenuSession(GatewayClient& client, LineInput& input, const MenuSessionOptions& options)
      : client_(client), input_(input), options_(options) {}

  absl::Status Run() {
    while (true) {
      ASSIGN_OR_RETURN(const std::optional<std::string> line,
                       input_.Read(RenderMenu(options_.items, options_.draw)));
      if (!line.has_value()) return WriteOut("\n");
      if (absl::StripAsciiWhitespace(*line) == "q") return absl::OkStatus();
      const absl::StatusOr<size_t> choice = ParseChoice(*line, options_.items.size());
      if (!choice.ok()) {
        RETURN_IF_ERROR(WriteOut(absl::StrCat(choice.status().message(), "\n\n")));
        continue;
      }
      ASSIGN_OR_RETURN(const Next next, RunItem(options_.items[*choice]));
      if (next == Next::kLeave) return WriteOut("\n");
    }
  }

 private:
  absl::StatusOr<Next> RunItem(const MenuItem& item) {
    RETURN_IF_ERROR(WriteOut("\n"));
    switch (item.kind) {
      case MenuKind::kMetadata:
        return ShowMetadata();
      case MenuKind::kCompletion:
        return Complete(item.prompt);
      case MenuKind::kChat:
        return Chat(item.system, item.prompt, false);
      case MenuKind::kManualCompletion: {
        ASSIGN_OR_RETURN(const std::optional<std::string> prompt, Ask(kAskPrompt));
        return prompt.has_value() ? Complete(*prompt) : Next::kLeave;
      }
      case MenuKind::kManualChat: {
        ASSIGN_OR_RETURN(const std::optional<std::string> system, Ask(kAskSystem));
        if (!system.has_value()) return Next::kLeave;
        ASSIGN_OR_RETURN(const std::optional<std::string> prompt, Ask(kAskChatPrompt));
        return prompt.has_value() ? Chat(*system, *prompt, true) : Next::kLeave;
      }
    }
    return Next::kMenu;
  }

  absl::StatusOr<std::optional<std::string>> Ask(absl::string_view question) {
    return input_.Read(absl::StrCat(Bold(question, options_.draw), "\n"));
  }

  absl::StatusOr<Next> ShowMetadata() {
    const absl::StatusOr<v1::GetInfoResponse> info = client_.GetInfo(true, [](int64_t) {});
    const std::string text =
        info.ok() ? RenderMetadata(*info) : ExplainStatus(info.status()) + "\n";
    RETURN_IF_ERROR(WriteOut(absl::StrCat(SanitizeForTerminal(text), "\n")));
    return Next::kMenu;
  }

  // False, and the reason told, if this cannot be sent.
  absl::StatusOr<bool> CheckPrompt(absl::string_view system, absl::string_view prompt) {
    if (prompt.empty()) {
      RETURN_IF_ERROR(WriteOut("The prompt you entered is empty.\n\n"));
      return false;
    }
    if (!IsValidUtf8(prompt) || !IsValidUtf8(system)) {
      RETURN_IF_ERROR(WriteOut("The prompt you entered is not valid UTF-8.\n\n"));
      return false;
    }
    return true;
  }

  absl::StatusOr<Next> Complete(const std::string& prompt) {
    ASSIGN_OR_RETURN(const bool valid, CheckPrompt("", prompt));
    if (!valid) return Next::kMenu;
    v1::GenerateRequest request = options_.request;
    request.mutable_prompt()->set_text(prompt);
    RETURN_IF_ERROR(Show(std::move(request), prompt).status());
    return Next::kMenu;
  }

  // The first turn and, if `more`, those after it.
  absl::StatusOr<Next> Chat(const std::string& system, std::string prompt, bool more) {
    v1::GenerateRequest request = options_.request;
    v1::Chat& chat = *request.mutable_prompt()->mutable_chat();
    const auto add = [&chat](v1::Role role, const std::string& content) {
      v1::ChatMessage& message = *chat.add_messages();
      message.set_role(role);
      message.set_content(content);
    };
    if (!system.empty()) add(v1::ROLE_SYSTEM, system);
    while (true) {
      ASSIGN_OR_RETURN(const bool valid, CheckPrompt(system, prompt));
      if (!valid) return Next::kMenu;
      add(v1::ROLE_USER, prompt);
      ASSIGN_OR_RETURN(const ReplyOutcome outcome, Show(request, prompt));
      if (!more || !outcome.status.ok()) return Next::kMenu;
      add(v1::ROLE_ASSISTANT, outcome.text);
      ASSIGN_OR_RETURN(const std::optional<std::string> next, Ask(kAskNextTurn));
      if (!next.has_value()) return Next::kLeave;
      if (next->empty()) return Next::kMenu;
      prompt = *next;
      RETURN_IF_ERROR(WriteOut("\n"));
    }
  }

  absl::StatusOr<ReplyOutcome> Show(v1::GenerateRequest request, const std::string& prompt) {
    return ShowReply(client_, std::move(request), prompt, {options_.draw, options_.names});
  }

  GatewayClient& client_;
  LineInput& input_;
  const MenuSessionOptions& options_;
};

}  // namespace

absl::Status RunMenuSession(GatewayClient& client, LineInput& input,
                            const MenuSessionOptions& options) {
  return MenuSession(client, input, options).Run();
}

}  // namespace llama
