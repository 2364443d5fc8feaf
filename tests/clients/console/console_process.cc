#include "tests/clients/console/console_process.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"

namespace llama {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(30);

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

pid_t Spawn(const std::vector<std::string>& arguments, const std::vector<std::string>& environment,
            const posix_spawn_file_actions_t& actions, bool own_session) {
  std::vector<std::string> argv = {LLAMA_BIN "/lnb-console"};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  std::vector<std::string> env = environment;  // First: the first of two with one name counts.
  env.insert(env.end(), {"TERM=xterm", "LC_ALL=C.UTF-8", "PATH=/usr/bin:/bin"});
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, own_session ? POSIX_SPAWN_SETSID : 0);
  pid_t pid = -1;
  EXPECT_EQ(posix_spawn(&pid, argv[0].c_str(), &actions, &attributes, Pointers(argv).data(),
                        Pointers(env).data()),
            0);
  posix_spawnattr_destroy(&attributes);
  return pid;
}

int WaitFor(pid_t pid) {
  int status = 0;
  EXPECT_EQ(waitpid(pid, &status, 0), pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

std::string ReadAll(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

TerminalConsole::TerminalConsole(const Options& options) {
  master_ = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  EXPECT_GE(master_, 0);
  EXPECT_EQ(grantpt(master_), 0);
  EXPECT_EQ(unlockpt(master_), 0);
  Resize(options.columns, options.rows);
  const std::string terminal = ptsname(master_);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  // Opened by the leader of a new session, it becomes the session's terminal.
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, terminal.c_str(), O_RDWR, 0);
  posix_spawn_file_actions_adddup2(&actions, STDIN_FILENO, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, STDIN_FILENO, STDERR_FILENO);
  pid_ = Spawn(options.arguments, options.environment, actions, true);
  posix_spawn_file_actions_destroy(&actions);
}

TerminalConsole::~TerminalConsole() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  close(master_);
}

void TerminalConsole::Type(absl::string_view keys) {
  EXPECT_EQ(write(master_, keys.data(), keys.size()), static_cast<ssize_t>(keys.size()));
}

void TerminalConsole::AwaitEditor() {
  const absl::Time deadline = absl::Now() + kPatience;
  termios mode = {};
  do {
    ASSERT_EQ(tcgetattr(master_, &mode), 0);
    ASSERT_LT(absl::Now(), deadline);
    absl::SleepFor(absl::Milliseconds(1));
  } while ((mode.c_lflag & ICANON) != 0);
}

void TerminalConsole::Resize(unsigned short columns, unsigned short rows) {
  winsize size = {};
  size.ws_col = columns;
  size.ws_row = rows;
  EXPECT_EQ(ioctl(master_, TIOCSWINSZ, &size), 0);
}

bool TerminalConsole::ReadSome(int timeout_milliseconds) {
  pollfd ready = {master_, POLLIN, 0};
  if (poll(&ready, 1, timeout_milliseconds) <= 0) return false;
  char buffer[4096];
  const ssize_t count = read(master_, buffer, sizeof(buffer));
  if (count <= 0) return false;
  output_.append(buffer, static_cast<size_t>(count));
  return true;
}

std::string TerminalConsole::ReadUntil(absl::string_view text) {
  const absl::Time deadline = absl::Now() + kPatience;
  while (true) {
    const size_t found = output_.find(text.data(), consumed_, text.size());
    if (found != std::string::npos) {
      const size_t begin = consumed_;
      consumed_ = found + text.size();
      return output_.substr(begin, consumed_ - begin);
    }
    const int64_t left = absl::ToInt64Milliseconds(deadline - absl::Now());
    if (left <= 0 || !ReadSome(static_cast<int>(left))) {
      ADD_FAILURE() << "waited in vain for \"" << text << "\"; since then came:\n"
                    << output_.substr(consumed_);
      return output_.substr(consumed_);
    }
  }
}

int TerminalConsole::AwaitExit() {
  const absl::Time deadline = absl::Now() + kPatience;
  while (absl::Now() < deadline &&
         ReadSome(static_cast<int>(absl::ToInt64Milliseconds(deadline - absl::Now())))) {
  }
  if (absl::Now() >= deadline) {
    ADD_FAILURE() << "did not end; the last that came:\n" << output_.substr(consumed_);
    kill(pid_, SIGKILL);
  }
  const int status = WaitFor(pid_);
  pid_ = -1;
  return status;
}

bool TerminalConsole::Echoes() const {
  termios state = {};
  EXPECT_EQ(tcgetattr(master_, &state), 0);
  return (state.c_lflag & static_cast<tcflag_t>(ECHO)) != 0;
}

FinishedProcess RunConsole(const std::vector<std::string>& arguments, const std::string& input,
                           OutputTo output_to) {
  const std::string prefix = absl::StrCat(::testing::TempDir(), "lnb_console_", getpid());
  const std::string in = prefix + ".in";
  const std::string out = prefix + ".out";
  const std::string err = prefix + ".err";
  std::ofstream(in, std::ios::binary) << input;
  const int write_flags = O_WRONLY | O_CREAT | O_TRUNC;
  int ends[2] = {-1, -1};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, in.c_str(), O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, err.c_str(), write_flags, 0600);
  switch (output_to) {
    case OutputTo::kFile:
      posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, out.c_str(), write_flags, 0600);
      break;
    case OutputTo::kClosed:
      posix_spawn_file_actions_addclose(&actions, STDOUT_FILENO);
      break;
    case OutputTo::kFullDevice:
      posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/full", O_WRONLY, 0);
      break;
    case OutputTo::kBrokenPipe:
      EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
      close(ends[0]);
      posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
      break;
  }
  const pid_t pid = Spawn(arguments, {}, actions, false);
  posix_spawn_file_actions_destroy(&actions);
  if (ends[1] >= 0) close(ends[1]);
  FinishedProcess finished;
  finished.exit_status = WaitFor(pid);
  if (output_to == OutputTo::kFile) finished.output = ReadAll(out);
  finished.errors = ReadAll(err);
  for (const std::string& path : {in, out, err}) std::filesystem::remove(path);
  return finished;
}

}  // namespace llama
