#ifndef LLAMA_SERVICES_MODEL_THREADS_THREAD_TEAM_H_
#define LLAMA_SERVICES_MODEL_THREADS_THREAD_TEAM_H_

#include <chrono>
#include <cstddef>
#include <memory>
#include <utility>

namespace llama {

// How long a thread spins before it sleeps. Covers what threads usually wait for one another within
// a forward pass, which is less than waking takes; beyond it, a spinning thread keeps the processor
// from whoever is waited for.
inline constexpr std::chrono::microseconds kTeamSpin{50};

// How long the threads of a team should spin: not at all where they outnumber the processors.
std::chrono::nanoseconds SpinFor(size_t threads, size_t processors);

// A fixed team of threads, the caller included, that runs one function at a time on all of them.
// Whoever waits, for the next run or for the others, spins for a while, then sleeps. Used by one
// thread at a time.
class ThreadTeam {
 public:
  // REQUIRES: threads >= 1. Starts threads - 1.
  explicit ThreadTeam(size_t threads, std::chrono::nanoseconds spin);
  // Spins as SpinFor() says of the processors that this process may use.
  explicit ThreadTeam(size_t threads);
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  size_t size() const;
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
