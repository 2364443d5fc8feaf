#ifndef LLAMA_SERVICES_MODEL_THREADS_THREAD_TEAM_H_
#define LLAMA_SERVICES_MODEL_THREADS_THREAD_TEAM_H_

#include <cstddef>
#include <memory>
#include <utility>

namespace llama {

// A fixed team of threads, the caller included, that runs one function at a time on all of them.
// Between runs the others spin for some microseconds, then sleep. Used by one thread at a time.
class ThreadTeam {
 public:
  // REQUIRES: threads >= 1. Starts threads - 1.
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
