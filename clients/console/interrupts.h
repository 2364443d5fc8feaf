#ifndef LLAMA_CLIENTS_CONSOLE_INTERRUPTS_H_
#define LLAMA_CLIENTS_CONSOLE_INTERRUPTS_H_

#include <atomic>
#include <functional>
#include <thread>

namespace llama {

// Keeps SIGINT (Ctrl-C) from this thread and those that it starts. What InterruptHandler needs;
// call before any thread starts.
void BlockInterrupts();

// During its life SIGINT calls `interrupt` on a thread of its own; where that returns false,
// for there was nothing to stop, the program ends with the terminal as it was found. One at a time
// in a process, after BlockInterrupts(), on the thread that reads the terminal. Takes SIGUSR1.
class InterruptHandler {
 public:
  explicit InterruptHandler(std::function<bool()> interrupt);
  ~InterruptHandler();
  InterruptHandler(const InterruptHandler&) = delete;
  InterruptHandler& operator=(const InterruptHandler&) = delete;

 private:
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

}  // namespace llama

#endif  // LLAMA_CLIENTS_CONSOLE_INTERRUPTS_H_
