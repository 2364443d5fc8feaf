#include "common/termination.h"

#include <pthread.h>
#include <unistd.h>

#include <csignal>
#include <thread>

namespace llama {

Termination::Termination() {
  (void)std::signal(SIGPIPE, SIG_IGN);  // It exists and may be ignored.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::thread([this, signals] {
    int signal = 0;
    sigwait(&signals, &signal);
    {
      MutexLock lock(&mutex_);
      if (!waiting_) _exit(0);
      signal_ = signal;
    }
    sigwait(&signals, &signal);
    _exit(128 + signal);
  }).detach();
}

int Termination::Wait() {
  MutexLock lock(&mutex_);
  waiting_ = true;
  mutex_.AwaitUntil([this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return signal_ != 0; },
                    absl::InfiniteFuture());
  return signal_;
}

}  // namespace llama
