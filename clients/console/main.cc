#include <pthread.h>
#include <termios.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "clients/console/gateway_client.h"
#include "clients/console/line_input.h"
#include "clients/console/menu.h"
#include "clients/console/metadata.h"
#include "clients/console/sanitize.h"
#include "common/program.h"
#include "common/read_file.h"
#include "common/status_macros.h"
#include "google/protobuf/util/json_util.h"

ABSL_FLAG(std::string, gateway, "127.0.0.1:50050", "The gateway to talk to, HOST:PORT.");
ABSL_FLAG(std::string, prompt, "", "Answer this chat prompt once, on standard output, and exit.");
ABSL_FLAG(std::string, system, "", "System prompt of --prompt.");
ABSL_FLAG(std::string, completion, "", "Continue this text once, on standard output, and exit.");
ABSL_FLAG(bool, json, false, "One shot: print every event as a line of JSON instead of the text.");
ABSL_FLAG(int64_t, max_tokens, 0, "Most tokens of a reply; 0: no limit of its own.");
ABSL_FLAG(int64_t, max_total_tokens, 200, "Most tokens of prompt and reply together; 0: no limit.");
ABSL_FLAG(float, temperature, 0, "0: always the most likely token; up to 100: more random.");
ABSL_FLAG(int64_t, top_k, 0, "Keep the k most likely tokens; 0: all.");
ABSL_FLAG(float, top_p, 1, "Keep the fewest most likely tokens whose probabilities reach p.");
ABSL_FLAG(float, min_p, 0, "Keep tokens with this share of the best one's probability.");
ABSL_FLAG(std::string, seed, "", "Number that fixes the draw; empty: the server picks one.");
ABSL_FLAG(std::string, stop, "", "Text that ends the reply.");
ABSL_FLAG(std::string, prompts, "",
          "File with further items for the menu, a line each: completion<TAB>PROMPT or "
          "chat<TAB>SYSTEM<TAB>PROMPT.");

namespace llama {
namespace {

constexpr int64_t kMaxPromptsFileBytes = 1 << 20;

bool IsTerminal() { return isatty(STDOUT_FILENO) != 0 && std::getenv("NO_COLOR") == nullptr; }

// Writes to standard output at once. False if it is closed or full.
bool Print(absl::string_view text) {
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() &&
         std::fflush(stdout) == 0;
}

absl::StatusOr<v1::GenerateRequest> RequestFromFlags() {
  v1::GenerateRequest request;
  v1::SamplingOptions& sampling = *request.mutable_sampling();
  sampling.set_temperature(absl::GetFlag(FLAGS_temperature));
  sampling.set_top_k(absl::GetFlag(FLAGS_top_k));
  sampling.set_top_p(absl::GetFlag(FLAGS_top_p));
  sampling.set_min_p(absl::GetFlag(FLAGS_min_p));
  if (const std::string seed = absl::GetFlag(FLAGS_seed); !seed.empty()) {
    uint64_t number = 0;
    if (!absl::SimpleAtoi(seed, &number)) {
      return absl::InvalidArgumentError(absl::StrCat("--seed: expected a number, found ", seed));
    }
    sampling.set_seed(number);
  }
  v1::StoppingOptions& stopping = *request.mutable_stopping();
  if (const int64_t tokens = absl::GetFlag(FLAGS_max_tokens); tokens != 0) {
    stopping.set_max_tokens(tokens);
  }
  if (const int64_t tokens = absl::GetFlag(FLAGS_max_total_tokens); tokens != 0) {
    stopping.set_max_total_tokens(tokens);
  }
  if (const std::string stop = absl::GetFlag(FLAGS_stop); !stop.empty()) {
    stopping.add_stop_sequences(stop);
  }
  return request;
}

void AddMessage(v1::Role role, const std::string& content, v1::Chat& chat) {
  v1::ChatMessage& message = *chat.add_messages();
  message.set_role(role);
  message.set_content(content);
}

std::string ReasonText(const v1::Finished& finished) {
  switch (finished.reason()) {
    case v1::FINISH_REASON_EOS:
      return "Finished by reaching EOS token.";
    case v1::FINISH_REASON_MAX_TOKENS:
      return "Finished by reaching sequence length.";
    case v1::FINISH_REASON_CONTEXT_LENGTH:
      return "Finished by reaching context length.";
    case v1::FINISH_REASON_STOP_SEQUENCE:
      return "Finished by reaching a stop sequence.";
    default:
      return absl::StrCat("Finished: ", v1::FinishReason_Name(finished.reason()), ".");
  }
}

double Seconds(const google::protobuf::Duration& duration) {
  return static_cast<double>(duration.seconds()) + static_cast<double>(duration.nanos()) / 1e9;
}

// SIGINT stops the reply under way; where there is none, or it was stopped already, it ends the
// program, with the terminal as it was.
class InterruptWatch {
 public:
  explicit InterruptWatch(GatewayClient& client) {
    std::signal(SIGPIPE, SIG_IGN);
    tcgetattr(STDIN_FILENO, &terminal_);
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    std::thread([this, signals, &client] {
      for (int signal = 0; sigwait(&signals, &signal) == 0;) {
        if (client.Cancel()) continue;
        tcsetattr(STDIN_FILENO, TCSANOW, &terminal_);
        _exit(128 + signal);
      }
    }).detach();
  }

 private:
  termios terminal_ = {};
};

absl::Status OneShot(GatewayClient& client) {
  ASSIGN_OR_RETURN(v1::GenerateRequest request, RequestFromFlags());
  const std::string prompt = absl::GetFlag(FLAGS_prompt);
  if (!prompt.empty()) {
    const std::string system = absl::GetFlag(FLAGS_system);
    v1::Chat& chat = *request.mutable_prompt()->mutable_chat();
    if (!system.empty()) AddMessage(v1::ROLE_SYSTEM, system, chat);
    AddMessage(v1::ROLE_USER, prompt, chat);
  } else {
    request.mutable_prompt()->set_text(absl::GetFlag(FLAGS_completion));
  }
  const bool json = absl::GetFlag(FLAGS_json);
  bool written = true;
  absl::Status status = client.Generate(request, [&](const v1::GenerateResponse& response) {
    std::string text = response.delta().text();
    if (json) {
      text.clear();
      (void)google::protobuf::util::MessageToJsonString(response, &text);
      text += '\n';
    }
    written = written && Print(text);
    return written;
  });
  if (written && !json) written = Print("\n");
  if (!written) return absl::UnknownError("cannot write to standard output");
  if (absl::IsCancelled(status)) return absl::CancelledError("Stopped by Ctrl+C.");
  if (!status.ok()) return absl::Status(status.code(), ExplainStatus(status));
  return absl::OkStatus();
}

// Runs a prompt and prints its reply as it comes. Returns the reply's text; empty if it failed.
std::string Reply(GatewayClient& client, const v1::GenerateRequest& request) {
  std::string reply;
  v1::Finished finished;
  bool written = true;
  const absl::Status status = client.Generate(request, [&](const v1::GenerateResponse& response) {
    if (response.has_finished()) finished = response.finished();
    reply += response.delta().text();
    written = written && Print(SanitizeForTerminal(response.delta().text()));
    return written;
  });
  if (!written) {
    std::exit(ReportFailure("lnb-console", absl::UnknownError("cannot write to standard output")));
  }
  Print("\n\n");
  if (absl::IsCancelled(status)) {
    Print("Stopped by Ctrl+C.\n\n");
  } else if (!status.ok()) {
    Print(absl::StrCat(SanitizeForTerminal(ExplainStatus(status)), "\n\n"));
    return "";
  } else {
    Print(absl::StrFormat("%s\n%d tokens, first token after %.2f s, %.1f tokens/s\n\n",
                          ReasonText(finished), finished.usage().completion_tokens(),
                          Seconds(finished.timings().time_to_first_token()),
                          finished.timings().decode_tokens_per_second()));
  }
  return reply;
}

void Complete(GatewayClient& client, v1::GenerateRequest request, const std::string& prompt,
              bool bold) {
  Print(absl::StrCat("\n", Bold("Prompt                 :", bold), " ", prompt, "\n",
                     Bold("Assistant              :", bold), " ", SanitizeForTerminal(prompt)));
  request.mutable_prompt()->set_text(prompt);
  Reply(client, request);
}

// The first turn, and, where `more` asks for it, the ones after it.
void Chat(GatewayClient& client, v1::GenerateRequest request, const std::string& system,
          std::string prompt, LineInput* more, bool bold) {
  v1::Chat& chat = *request.mutable_prompt()->mutable_chat();
  if (!system.empty()) AddMessage(v1::ROLE_SYSTEM, system, chat);
  while (true) {
    AddMessage(v1::ROLE_USER, prompt, chat);
    if (!system.empty()) {
      Print(absl::StrCat("\n", Bold("System prompt          :", bold), " ", system));
    }
    Print(absl::StrCat("\n", Bold("Prompt                 :", bold), " ", prompt, "\n",
                       Bold("Assistant              :", bold), " "));
    const std::string reply = Reply(client, request);
    if (more == nullptr || reply.empty()) return;
    const std::optional<std::string> next = more->Read(absl::StrCat(
        Bold("Next turn of this dialogue (an empty line returns to the menu):", bold), "\n"));
    if (!next.has_value() || next->empty()) return;
    AddMessage(v1::ROLE_ASSISTANT, reply, chat);
    prompt = *next;
  }
}

absl::Status Menu(GatewayClient& client) {
  const bool bold = IsTerminal();
  ASSIGN_OR_RETURN(const v1::GenerateRequest request, RequestFromFlags());
  std::vector<MenuItem> items = PredefinedItems();
  if (const std::string path = absl::GetFlag(FLAGS_prompts); !path.empty()) {
    ASSIGN_OR_RETURN(const std::string content, ReadFile(path, kMaxPromptsFileBytes));
    ASSIGN_OR_RETURN(const std::vector<MenuItem> further, ParsePromptsFile(content, path));
    items.insert(items.end(), further.begin(), further.end());
  }
  LineInput input;
  while (true) {
    const std::optional<std::string> line = input.Read(RenderMenu(items, bold));
    if (!line.has_value() || *line == "q") {
      Print("\n");
      return absl::OkStatus();
    }
    const absl::StatusOr<size_t> choice = ParseChoice(*line, items.size());
    if (!choice.ok()) {
      Print(absl::StrCat(choice.status().message(), "\n\n"));
      continue;
    }
    const MenuItem& item = items[*choice];
    std::optional<std::string> system = item.system;
    std::optional<std::string> prompt = item.prompt;
    if (item.kind == MenuKind::kManualCompletion) {
      prompt = input.Read("Write down your prompt and press Enter:\n");
    } else if (item.kind == MenuKind::kManualChat) {
      system = input.Read(
          "Write down your \"system prompt\" (optional, will be surrounded by <<SYS>> and "
          "<</SYS>>) and press Enter:\n");
      prompt = input.Read(
          "Write down your prompt (will be surrounded by [INST] and [/INST]) and press Enter:\n");
    }
    if (!prompt.has_value()) return absl::OkStatus();
    if (item.kind == MenuKind::kMetadata) {
      ASSIGN_OR_RETURN(const v1::GetInfoResponse info, client.GetInfo(true, [](int64_t) {}));
      Print(absl::StrCat(SanitizeForTerminal(RenderMetadata(info)), "\n"));
    } else if (prompt->empty()) {
      Print("The prompt you entered is empty.\n\n");
    } else if (item.kind == MenuKind::kCompletion || item.kind == MenuKind::kManualCompletion) {
      Complete(client, request, *prompt, bold);
    } else {
      Chat(client, request, system.value_or(""), *prompt,
           item.kind == MenuKind::kManualChat ? &input : nullptr, bold);
    }
  }
}

absl::Status Run() {
  GatewayClient client(absl::GetFlag(FLAGS_gateway));
  const InterruptWatch watch(client);
  const bool one_shot =
      !absl::GetFlag(FLAGS_prompt).empty() || !absl::GetFlag(FLAGS_completion).empty();
  const bool bar = isatty(STDERR_FILENO) != 0;
  bool loading = false;
  ASSIGN_OR_RETURN(const v1::GetInfoResponse info, client.GetInfo(false, [&](int64_t percent) {
    if (bar) {
      std::fprintf(stderr, "\rLoading the model [%-20s] %3lld %%",
                   std::string(static_cast<size_t>(percent / 5), '#').c_str(),
                   static_cast<long long>(percent));
    }
    loading = true;
  }));
  if (loading && bar) std::fputs("\n", stderr);
  if (one_shot) return OneShot(client);
  constexpr absl::string_view kWelcome = "Welcome to Llama Nuts and Bolts!";
  Print(absl::StrCat("\n", kWelcome, "\n", std::string(kWelcome.size(), '='), "\n\n",
                     SanitizeForTerminal(RenderSummary(info)), "\n"));
  return Menu(client);
}

}  // namespace
}  // namespace llama

int main(int argc, char** argv) {
  llama::ParseProgramFlags(
      argc, argv,
      "talks to a Llama Nuts and Bolts gateway: a menu of prompts, or one reply with --prompt or "
      "--completion.");
  const absl::Status status = llama::Run();
  return status.ok() ? 0 : llama::ReportFailure("lnb-console", status);
}
