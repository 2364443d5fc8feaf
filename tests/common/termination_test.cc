#include "common/termination.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <fstream>
#include <functional>
#include <string>

#include "gtest/gtest.h"

namespace llama {
namespace {

// A child that calls `body` with its Termination and then tells the parent that it got so far.
class Child {
 public:
  explicit Child(const std::function<void(Termination&, const std::function<void()>& tell)>& body) {
    int ends[2];
    EXPECT_EQ(pipe(ends), 0);
    pid_ = fork();
    if (pid_ == 0) {
      Termination termination;
      body(termination, [&] { (void)!write(ends[1], ".", 1); });
      _exit(99);
    }
    close(ends[1]);
    from_child_ = ends[0];
  }
  ~Child() { close(from_child_); }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  void AwaitTold() {
    char byte;
    EXPECT_EQ(read(from_child_, &byte, 1), 1);
  }
  // Until its main thread, which had been running, sleeps: it is in Wait() then.
  void AwaitAsleep() {
    char state = 'R';
    while (state != 'S') {
      std::ifstream stat("/proc/" + std::to_string(pid_) + "/stat");
      std::string ignored;
      stat >> ignored >> ignored >> state;
    }
  }
  void Send(int signal) { kill(pid_, signal); }
  int ExitStatus() {
    int status = 0;
    waitpid(pid_, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

 private:
  pid_t pid_ = 0;
  int from_child_ = -1;
};

TEST(TerminationTest, BeforeAnybodyWaitsTheFirstSignalEndsTheProcessWithZero) {
  Child child([](Termination&, const std::function<void()>& tell) {
    tell();
    for (;;) pause();
  });
  child.AwaitTold();
  child.Send(SIGTERM);
  EXPECT_EQ(child.ExitStatus(), 0);
}

TEST(TerminationTest, WaitReturnsTheFirstSignal) {
  for (const int signal : {SIGTERM, SIGINT}) {
    Child child([](Termination& termination, const std::function<void()>& tell) {
      tell();
      _exit(termination.Wait());
    });
    child.AwaitTold();
    child.AwaitAsleep();
    child.Send(signal);
    EXPECT_EQ(child.ExitStatus(), signal);
  }
}

TEST(TerminationTest, ASecondSignalEndsAtOnce) {
  Child child([](Termination& termination, const std::function<void()>& tell) {
    tell();
    termination.Wait();
    tell();
    for (;;) pause();  // A drain that takes for ever.
  });
  child.AwaitTold();
  child.AwaitAsleep();
  child.Send(SIGTERM);
  child.AwaitTold();
  child.Send(SIGINT);
  EXPECT_EQ(child.ExitStatus(), 128 + SIGINT);
}

TEST(TerminationTest, ABrokenPipeIsAnErrorAndNoDeath) {
  Child child([](Termination&, const std::function<void()>&) {
    int ends[2];
    if (pipe(ends) != 0) _exit(1);
    close(ends[0]);
    _exit(write(ends[1], ".", 1) == -1 && errno == EPIPE ? 42 : 2);
  });
  EXPECT_EQ(child.ExitStatus(), 42);
}

}  // namespace
}  // namespace llama
