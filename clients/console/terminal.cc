#include "clients/console/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <system_error>

#include "absl/strings/str_cat.h"

namespace llama {

void IgnoreBrokenPipes() {
  (void)std::signal(SIGPIPE, SIG_IGN);  // It exists and may be ignored.
}

absl::Status WriteOut(absl::string_view text) {
  errno = 0;
  if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0) {
    return absl::OkStatus();
  }
  return absl::UnknownError(
      absl::StrCat("cannot write to standard output: ", std::generic_category().message(errno)));
}

bool DrawsOnTerminal() {
  const char* const no_color = std::getenv("NO_COLOR");
  const char* const term = std::getenv("TERM");
  return isatty(STDOUT_FILENO) != 0 && (no_color == nullptr || *no_color == '\0') &&
         term != nullptr && absl::string_view(term) != "dumb";
}

ScreenSize GetScreenSize() {
  winsize size = {};
  ScreenSize screen;
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0) {
    screen = {size.ws_col, size.ws_row};
  }
  return screen;
}

EchoOff::EchoOff() {
  termios now = {};
  if (tcgetattr(STDIN_FILENO, &now) != 0) return;
  before_ = now;
  now.c_lflag &= ~static_cast<tcflag_t>(ECHO);
  tcsetattr(STDIN_FILENO, TCSANOW, &now);
}

EchoOff::~EchoOff() {
  if (before_.has_value()) tcsetattr(STDIN_FILENO, TCSANOW, &*before_);
}

}  // namespace llama
