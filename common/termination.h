#ifndef LLAMA_COMMON_TERMINATION_H_
#define LLAMA_COMMON_TERMINATION_H_

#include "absl/base/thread_annotations.h"
#include "common/mutex.h"

namespace llama {

// SIGTERM and SIGINT for programs that end gracefully. Create one, first in main(), before any
// other thread: the signals are then blocked in all of them, and a thread of its own waits for
// them. Until somebody is in Wait() there is nothing to finish, so that the first signal ends the
// process at once with exit status 0; afterwards the first makes Wait() return, and a second one
// ends the process at once with 128 + signal. Ignores SIGPIPE. Lives as long as the process.
class Termination {
 public:
  Termination();
  // Returns the first signal.
  int Wait();

 private:
  Mutex mutex_;
  bool waiting_ ABSL_GUARDED_BY(mutex_) = false;
  int signal_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace llama

#endif  // LLAMA_COMMON_TERMINATION_H_
