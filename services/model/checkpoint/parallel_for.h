#ifndef LLAMA_SERVICES_MODEL_CHECKPOINT_PARALLEL_FOR_H_
#define LLAMA_SERVICES_MODEL_CHECKPOINT_PARALLEL_FOR_H_

#include <atomic>
#include <cstddef>
#include <thread>
#include <vector>

namespace llama {

// Calls work(0) … work(count - 1), each once, on `threads` threads, the caller included.
template <typename Work>
void ParallelFor(size_t count, int threads, const Work& work) {
  std::atomic<size_t> next = 0;
  const auto run = [&] {
    for (size_t i = next++; i < count; i = next++) work(i);
  };
  std::vector<std::jthread> helpers;
  for (int i = 1; i < threads; ++i) helpers.emplace_back(run);
  run();
}

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_CHECKPOINT_PARALLEL_FOR_H_
