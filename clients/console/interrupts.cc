#include "clients/console/interrupts.h"

#include <pthread.h>
#include <termios.h>
#include <unistd.h>

#include <csignal>
#include <utility>

namespace llama {
namespace {

sigset_t Interrupts() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  return signals;
}

// For Leave(): a signal handler reaches nothing else.
termios found_terminal = {};
bool is_terminal = false;

// Runs on the thread that reads the terminal, which then can no longer change its modes.
void Leave(int /*signal*/) {
  if (is_terminal) tcsetattr(STDIN_FILENO, TCSANOW, &found_terminal);
  _exit(128 + SIGINT);
}

}  // namespace

void BlockInterrupts() {
  const sigset_t signals = Interrupts();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

InterruptHandler::InterruptHandler(std::function<bool()> interrupt) {
  is_terminal = tcgetattr(STDIN_FILENO, &found_terminal) == 0;
  (void)std::signal(SIGUSR1, Leave);  // It exists and may be handled.
  thread_ = std::thread([this, reader = pthread_self(), interrupt = std::move(interrupt)] {
    const sigset_t signals = Interrupts();
    for (int signal = 0; sigwait(&signals, &signal) == 0;) {
      if (stopping_) return;
      if (!interrupt()) pthread_kill(reader, SIGUSR1);
    }
  });
}

InterruptHandler::~InterruptHandler() {
  stopping_ = true;
  pthread_kill(thread_.native_handle(), SIGINT);
  thread_.join();
}

}  // namespace llama
