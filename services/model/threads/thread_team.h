#ifndef LLAMA_SERVICES_MODEL_THREADS_THREAD_TEAM_H_
#define LLAMA_SERVICES_MODEL_THREADS_THREAD_TEAM_H_

#include <chrono>
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "services/model/threads/cpu_budget.h"

namespace llama {

// How long a thread spins before it sleeps. Covers what threads usually wait for one another within
// a forward pass, and what waking takes on a virtual machine; much less than the milliseconds for
// which the system lets another process have the processor, so that a thread whose partner has lost
// its own does not keep whoever is waited for from running.
inline constexpr std::chrono::microseconds kTeamSpin{300};

struct ThreadTeamOptions {
  std::chrono::nanoseconds spin = kTeamSpin;
  // The CPUs on which each thread runs; none: wherever the system likes.
  std::vector<std::vector<int>> cpus = {};  // [threads]
};
// What suits this many threads. Where they outnumber the processors they do not spin. Where they
// are as many as the cores, each is bound to one: threads that wake one another every few
// microseconds have been seen on the same core, taking turns. Where they are fewer, other processes
// may use other cores as well, and the system knows better.
ThreadTeamOptions SuitableTeamOptions(size_t threads, const CpuBudget& budget);

// A fixed team of threads, the caller included, that runs one function at a time on all of them.
// Whoever waits, for the next run or for the others, spins for a while, then sleeps. Used by one
// thread at a time.
class ThreadTeam {
 public:
  // REQUIRES: threads >= 1. Starts threads - 1.
  ThreadTeam(size_t threads, const ThreadTeamOptions& options);
  // With what suits the processors that this process may use.
  explicit ThreadTeam(size_t threads);
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  size_t size() const;
  // Binds the calling thread, for good, to the CPUs of thread 0, if the team is bound: for a thread
  // that lives to call Run(). Threads that it starts from then on inherit that.
  void BindCaller() const;
  // Calls work(0) … work(size() - 1) at the same time, work(0) on the calling thread, and returns
  // when all have returned. Everything written before is seen within, and everything written within
  // is seen after. Allocates nothing.
  template <typename Work>
  void Run(const Work& work) {
    RunErased(
        [](const void* erased, size_t thread) { (*static_cast<const Work*>(erased))(thread); },
        &work);
  }

 private:
  using Function = void (*)(const void* work, size_t thread);
  void RunErased(Function function, const void* work);

  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// The part [begin, end) of `count` things that is `thread`'s of `threads`: contiguous, in order,
// and of sizes that differ by at most `multiple_of`; every begin is a multiple of it.
std::pair<size_t, size_t> Share(size_t count, size_t thread, size_t threads,
                                size_t multiple_of = 1);

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_THREADS_THREAD_TEAM_H_
