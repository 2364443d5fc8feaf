#ifndef LLAMA_TESTS_CLIENTS_CONSOLE_CONSOLE_PROCESS_H_
#define LLAMA_TESTS_CLIENTS_CONSOLE_CONSOLE_PROCESS_H_

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace llama {

// The real lnb-console on a pseudo-terminal. Failures to start it abort the test.
class TerminalConsole {
 public:
  struct Options {
    std::vector<std::string> arguments;
    std::vector<std::string> environment;  // "NAME=VALUE", beside TERM=xterm and a UTF-8 locale.
    unsigned short columns = 100;
    unsigned short rows = 40;
  };
  explicit TerminalConsole(const Options& options);
  ~TerminalConsole();  // Kills it, if it still runs.
  TerminalConsole(const TerminalConsole&) = delete;
  TerminalConsole& operator=(const TerminalConsole&) = delete;

  void Type(absl::string_view keys);
  // Until the line editor reads keys one by one. Before that the terminal takes Ctrl-D for itself.
  void AwaitEditor();
  void Resize(unsigned short columns, unsigned short rows);
  // Reads until `text` has come after what earlier calls waited for. Returns what came up to and
  // with it; all that came, after a failed expectation, if it does not come within half a minute.
  std::string ReadUntil(absl::string_view text);
  // Reads to the end and returns the exit status, or minus the signal that ended the process.
  int AwaitExit();
  // Whether keys that are typed now are shown.
  bool Echoes() const;
  // Everything that came.
  const std::string& output() const { return output_; }

 private:
  bool ReadSome(int timeout_milliseconds);

  int master_ = -1;
  pid_t pid_ = -1;
  std::string output_;
  size_t consumed_ = 0;
};

struct FinishedProcess {
  int exit_status = 0;  // Or minus the signal that ended it.
  std::string output;
  std::string errors;
};

// Where a process's standard output goes.
enum class OutputTo { kFile, kClosed, kFullDevice, kBrokenPipe };

// Runs lnb-console without a terminal, to its end.
FinishedProcess RunConsole(const std::vector<std::string>& arguments, const std::string& input = "",
                           OutputTo output_to = OutputTo::kFile);

}  // namespace llama

#endif  // LLAMA_TESTS_CLIENTS_CONSOLE_CONSOLE_PROCESS_H_
