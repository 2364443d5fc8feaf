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

}  // namespace

void BlockInterrupts() {
  const sigset_t signals = Interrupts();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

InterruptHandler::InterruptHandler(std::function<bool()> interrupt) {
  termios terminal = {};
  const bool is_terminal = tcgetattr(STDIN_FILENO, &terminal) == 0;
  thread_ = std::thread([this, terminal, is_terminal, interrupt = std::move(interrupt)] {
    const sigset_t signals = Interrupts();
    for (int signal = 0; sigwait(&signals, &signal) == 0;) {
      if (stopping_) return;
      if (interrupt()) continue;
      if (is_terminal) tcsetattr(STDIN_FILENO, TCSANOW, &terminal);
      _exit(128 + signal);
    }
  });
}

InterruptHandler::~InterruptHandler() {
  stopping_ = true;
  pthread_kill(thread_.native_handle(), SIGINT);
  thread_.join();
}

}  // namespace llama
