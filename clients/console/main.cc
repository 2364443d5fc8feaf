#include <unistd.h>

#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>

#include "absl/flags/flag.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "clients/console/gateway_client.h"
#include "clients/console/interrupts.h"
#include "clients/console/line_input.h"
#include "clients/console/loading_bar.h"
#include "clients/console/menu.h"
#include "clients/console/menu_session.h"
#include "clients/console/metadata.h"
#include "clients/console/one_shot.h"
#include "clients/console/sanitize.h"
#include "clients/console/terminal.h"
#include "common/program.h"
#include "common/read_file.h"
#include "common/rpc/client_security_flags.h"
#include "common/status_macros.h"
#include "common/utf8.h"

ABSL_FLAG(std::string, gateway, "127.0.0.1:50050", "The gateway to talk to, HOST:PORT.");
ABSL_FLAG(std::string, prompt, "", "Answer this chat prompt once, on standard output, and exit.");
ABSL_FLAG(std::string, system, "", "System prompt of --prompt.");
ABSL_FLAG(std::string, completion, "", "Continue this text once, on standard output, and exit.");
ABSL_FLAG(bool, json, false, "One shot: print every event as a line of JSON instead of the text.");
ABSL_FLAG(bool, plain, false, "Menu: no names behind characters that came as byte tokens.");
ABSL_FLAG(int64_t, max_tokens, 0, "Most tokens of a reply; 0: no limit of its own.");
ABSL_FLAG(std::optional<int64_t>, max_total_tokens, std::nullopt,
          "Most tokens of prompt and reply together; 0: no limit but the model's context length. "
          "Unset: 200, or no limit where --max_tokens is given.");
ABSL_FLAG(std::optional<float>, temperature, std::nullopt,
          "0 (default): always the most likely token; up to 100: more random.");
ABSL_FLAG(std::optional<int64_t>, top_k, std::nullopt,
          "Keep the k most likely tokens; 0 (default): all.");
ABSL_FLAG(std::optional<float>, top_p, std::nullopt,
          "Keep the fewest most likely tokens whose probabilities reach p; default 1: all.");
ABSL_FLAG(std::optional<float>, min_p, std::nullopt,
          "Keep tokens with this share of the best one's probability; default 0: all.");
ABSL_FLAG(std::string, seed, "", "Number that fixes the draw; empty: the server picks one.");
ABSL_FLAG(std::optional<float>, repetition_penalty, std::nullopt,
          "Divides positive and multiplies negative logits of seen tokens; default 1: none.");
ABSL_FLAG(std::optional<float>, presence_penalty, std::nullopt,
          "Subtracted from the logit of every seen token, -2 to 2; default 0.");
ABSL_FLAG(std::optional<float>, frequency_penalty, std::nullopt,
          "Subtracted for every time a token was seen, -2 to 2; default 0.");
ABSL_FLAG(std::optional<int64_t>, penalty_window, std::nullopt,
          "How many of the last tokens the penalties look at; 0 (default): all.");
ABSL_FLAG(std::string, stop, "", "Text that ends the reply.");
ABSL_FLAG(std::string, prompts, "",
          "File with further items for the menu, a line each: completion<TAB>PROMPT or "
          "chat<TAB>SYSTEM<TAB>PROMPT; with a line model<TAB>NAME they show only while the gateway "
          "serves that model. Empty lines and lines that start with # are skipped.");

namespace llama {
namespace {

constexpr int64_t kMaxPromptsFileBytes = 1 << 20;
constexpr int64_t kDefaultTotalTokens = 200;

absl::StatusOr<v1::GenerateRequest> RequestFromFlags() {
  v1::GenerateRequest request;
  v1::SamplingOptions& sampling = *request.mutable_sampling();
  if (const auto value = absl::GetFlag(FLAGS_temperature)) sampling.set_temperature(*value);
  if (const auto value = absl::GetFlag(FLAGS_top_k)) sampling.set_top_k(*value);
  if (const auto value = absl::GetFlag(FLAGS_top_p)) sampling.set_top_p(*value);
  if (const auto value = absl::GetFlag(FLAGS_min_p)) sampling.set_min_p(*value);
  if (const auto value = absl::GetFlag(FLAGS_repetition_penalty)) {
    sampling.set_repetition_penalty(*value);
  }
  if (const auto value = absl::GetFlag(FLAGS_presence_penalty)) {
    sampling.set_presence_penalty(*value);
  }
  if (const auto value = absl::GetFlag(FLAGS_frequency_penalty)) {
    sampling.set_frequency_penalty(*value);
  }
  if (const auto value = absl::GetFlag(FLAGS_penalty_window)) sampling.set_penalty_window(*value);
  if (const std::string seed = absl::GetFlag(FLAGS_seed); !seed.empty()) {
    uint64_t number = 0;
    if (!absl::SimpleAtoi(seed, &number)) {
      return absl::InvalidArgumentError(
          absl::StrCat("--seed: expected a number from 0 to 2^64-1, found ", seed));
    }
    sampling.set_seed(number);
  }
  v1::StoppingOptions& stopping = *request.mutable_stopping();
  const int64_t tokens = absl::GetFlag(FLAGS_max_tokens);
  if (tokens != 0) stopping.set_max_tokens(tokens);
  const int64_t total =
      absl::GetFlag(FLAGS_max_total_tokens).value_or(tokens == 0 ? kDefaultTotalTokens : 0);
  if (total != 0) stopping.set_max_total_tokens(total);
  if (const std::string stop = absl::GetFlag(FLAGS_stop); !stop.empty()) {
    stopping.add_stop_sequences(stop);
  }
  return request;
}

absl::Status CheckUtf8(absl::string_view flag, const std::string& value) {
  if (IsValidUtf8(value)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("--", flag, ": not valid UTF-8"));
}

// The request of a one shot; nullopt where the menu is wanted. `one_shot`: a flag names it, were it
// with an empty text.
absl::StatusOr<std::optional<v1::GenerateRequest>> OneShotFromFlags(bool one_shot) {
  const std::string prompt = absl::GetFlag(FLAGS_prompt);
  const std::string system = absl::GetFlag(FLAGS_system);
  const std::string completion = absl::GetFlag(FLAGS_completion);
  RETURN_IF_ERROR(CheckUtf8("prompt", prompt));
  RETURN_IF_ERROR(CheckUtf8("system", system));
  RETURN_IF_ERROR(CheckUtf8("completion", completion));
  RETURN_IF_ERROR(CheckUtf8("stop", absl::GetFlag(FLAGS_stop)));
  if (!system.empty() && prompt.empty()) {
    return absl::InvalidArgumentError("--system: goes with --prompt");
  }
  if (!prompt.empty() && !completion.empty()) {
    return absl::InvalidArgumentError("--prompt and --completion exclude each other");
  }
  ASSIGN_OR_RETURN(v1::GenerateRequest request, RequestFromFlags());
  if (!prompt.empty()) {
    v1::Chat& chat = *request.mutable_prompt()->mutable_chat();
    const auto add = [&chat](v1::Role role, const std::string& content) {
      v1::ChatMessage& message = *chat.add_messages();
      message.set_role(role);
      message.set_content(content);
    };
    if (!system.empty()) add(v1::ROLE_SYSTEM, system);
    add(v1::ROLE_USER, prompt);
  } else if (!completion.empty()) {
    request.mutable_prompt()->set_text(completion);
  } else if (one_shot) {
    return absl::InvalidArgumentError("--prompt or --completion: expected a text, found none");
  } else if (absl::GetFlag(FLAGS_json)) {
    return absl::InvalidArgumentError("--json: goes with --prompt or --completion");
  } else {
    return std::nullopt;
  }
  return request;
}

// For the eye alone: what cannot be drawn is left out.
void DrawLoadingBar(int64_t percent) {
  (void)std::fprintf(stderr, "\r%s", RenderLoadingBar(percent).c_str());
}

// Waits until the gateway has loaded, with a bar on a terminal's standard error.
absl::StatusOr<v1::GetInfoResponse> AwaitGateway(GatewayClient& client) {
  const bool bar = isatty(STDERR_FILENO) != 0;
  bool drawn = false;
  auto info = client.GetInfo(false, [&](int64_t percent) {
    if (!bar) return;
    DrawLoadingBar(percent);
    drawn = true;
  });
  if (drawn && info.ok()) DrawLoadingBar(100);
  if (drawn) (void)std::fputs("\n", stderr);
  return info;
}

absl::Status RunMenu(GatewayClient& client) {
  MenuSessionOptions options;
  options.items = PredefinedItems();
  options.draw = DrawsOnTerminal();
  options.names = !absl::GetFlag(FLAGS_plain);
  ASSIGN_OR_RETURN(options.request, RequestFromFlags());
  PromptsFile further;
  if (const std::string path = absl::GetFlag(FLAGS_prompts); !path.empty()) {
    ASSIGN_OR_RETURN(const std::string content, ReadFile(path, kMaxPromptsFileBytes));
    ASSIGN_OR_RETURN(further, ParsePromptsFile(content, path));
  }
  ASSIGN_OR_RETURN(const v1::GetInfoResponse info, AwaitGateway(client));
  if (further.model.empty() || further.model == info.model().model().name()) {
    options.items.insert(options.items.end(), further.items.begin(), further.items.end());
  }
  constexpr absl::string_view kWelcome = "Welcome to Llama Nuts and Bolts!";
  RETURN_IF_ERROR(WriteOut(absl::StrCat("\n", kWelcome, "\n", std::string(kWelcome.size(), '='),
                                        "\n\n", SanitizeForTerminal(RenderSummary(info)), "\n")));
  LineInput input(options.draw);
  return RunMenuSession(client, input, options);
}

absl::Status Run(bool one_shot) {
  IgnoreBrokenPipes();
  ASSIGN_OR_RETURN(const std::optional<v1::GenerateRequest> request, OneShotFromFlags(one_shot));
  BlockInterrupts();  // Before the client, which starts gRPC's threads.
  ASSIGN_OR_RETURN(const auto calling, ChannelCredentialsFromFlags());
  GatewayClient client(absl::GetFlag(FLAGS_gateway), calling);
  const InterruptHandler interrupts([&client] { return client.Cancel(); });
  if (!request.has_value()) return RunMenu(client);
  RETURN_IF_ERROR(AwaitGateway(client).status());
  return AnswerOnce(client, *request, absl::GetFlag(FLAGS_json));
}

bool NamesOneShot(absl::string_view argument) {
  while (absl::ConsumePrefix(&argument, "-")) {
  }
  const absl::string_view name = argument.substr(0, argument.find('='));
  return name == "prompt" || name == "completion";
}

}  // namespace
}  // namespace llama

int main(int argc, char** argv) {
  // Line editing counts characters in the user's encoding, which is UTF-8 or plain.
  if (std::setlocale(LC_CTYPE, "") == nullptr || MB_CUR_MAX == 1) {
    (void)std::setlocale(LC_CTYPE, "C.UTF-8");  // Where there is none, it stays plain.
  }
  bool one_shot = false;
  for (int i = 1; i < argc; ++i) one_shot = one_shot || llama::NamesOneShot(argv[i]);
  llama::ParseProgramFlags(
      argc, argv,
      "talks to a Llama Nuts and Bolts gateway: a menu of prompts, or one reply with --prompt or "
      "--completion.");
  const absl::Status status = llama::Run(one_shot);
  return status.ok() ? 0 : llama::ReportFailure("lnb-console", status);
}
