#ifndef LLAMA_COMMON_TERMINATION_H_
#define LLAMA_COMMON_TERMINATION_H_

#include <csignal>

namespace llama {

// SIGTERM and SIGINT for programs that end gracefully. Create it first in main(), before any
// thread: the signals are then blocked in all of them. Ignores SIGPIPE.
class Termination {
 public:
  Termination();
  // Returns the first signal. From then on a watcher thread ends the process at once, with exit
  // status 128 + signal, when a second one comes.
  int Wait();

 private:
  sigset_t signals_;
};

}  // namespace llama

#endif  // LLAMA_COMMON_TERMINATION_H_
