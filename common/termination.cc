#include "common/termination.h"

#include <pthread.h>
#include <unistd.h>

#include <thread>

namespace llama {

Termination::Termination() {
  std::signal(SIGPIPE, SIG_IGN);
  sigemptyset(&signals_);
  sigaddset(&signals_, SIGTERM);
  sigaddset(&signals_, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
}

int Termination::Wait() {
  int signal = 0;
  sigwait(&signals_, &signal);
  std::thread([signals = signals_] {
    int second = 0;
    sigwait(&signals, &second);
    _exit(128 + second);
  }).detach();
  return signal;
}

}  // namespace llama
