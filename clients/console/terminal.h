#ifndef LLAMA_CLIENTS_CONSOLE_TERMINAL_H_
#define LLAMA_CLIENTS_CONSOLE_TERMINAL_H_

#include <termios.h>

#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace llama {

// Makes writing to a pipe that nobody reads an error rather than the end of the process.
void IgnoreBrokenPipes();

// Writes to standard output at once. Errors: UNKNOWN, with the system's reason: it may be closed.
absl::Status WriteOut(absl::string_view text);

// Whether standard output may be given escape sequences: it is a terminal that knows them (TERM is
// not "dumb"), and NO_COLOR is unset or empty.
bool DrawsOnTerminal();

struct ScreenSize {
  int64_t columns = 80;
  int64_t rows = 24;
};
// Of the terminal on standard output; 80 by 24 where it does not say.
ScreenSize GetScreenSize();

// Keys that are typed during its life are not shown; they are read later. Ctrl-C works on.
class EchoOff {
 public:
  EchoOff();
  ~EchoOff();
  EchoOff(const EchoOff&) = delete;
  EchoOff& operator=(const EchoOff&) = delete;

 private:
  std::optional<termios> before_;  // Nullopt where standard input is no terminal.
};

}  // namespace llama

#endif  // LLAMA_CLIENTS_CONSOLE_TERMINAL_H_
