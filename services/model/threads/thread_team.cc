#include "services/model/threads/thread_team.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

namespace llama {
namespace {

void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// Waits until `value` is no longer `old`: spins at first, then sleeps.
void WaitWhile(const std::atomic<uint32_t>& value, uint32_t old, std::chrono::nanoseconds spin) {
  if (spin.count() > 0) {
    // The clock is read now and then: how long a pause takes differs tenfold between processors.
    constexpr int kPausesPerLook = 16;
    const auto begin = std::chrono::steady_clock::now();
    do {
      for (int i = 0; i < kPausesPerLook; ++i) {
        if (value.load(std::memory_order_acquire) != old) return;
        Pause();
      }
    } while (std::chrono::steady_clock::now() - begin < spin);
  }
  while (value.load(std::memory_order_acquire) == old) value.wait(old, std::memory_order_acquire);
}

// Without it, threads are only slower: failures do not matter.
void BindThisThread(const std::vector<int>& cpus) {
  const size_t most = static_cast<size_t>(*std::max_element(cpus.begin(), cpus.end())) + 1;
  cpu_set_t* const set = CPU_ALLOC(most);
  const size_t bytes = CPU_ALLOC_SIZE(most);
  CPU_ZERO_S(bytes, set);
  for (const int cpu : cpus) CPU_SET_S(static_cast<size_t>(cpu), bytes, set);
  sched_setaffinity(0, bytes, set);
  CPU_FREE(set);
}

}  // namespace

struct ThreadTeam::Impl {
  explicit Impl(const ThreadTeamOptions& options) : spin(options.spin), cpus(options.cpus) {}

  const std::chrono::nanoseconds spin;
  const std::vector<std::vector<int>> cpus;  // Empty: not bound.
  Function function = nullptr;               // Null: the end.
  const void* work = nullptr;
  std::vector<std::thread> helpers;
  // Each run is a new round. The work is written before its round begins. The two counters are
  // written by different threads: each has a cache line of its own.
  alignas(64) std::atomic<uint32_t> round = 0;
  alignas(64) std::atomic<uint32_t> busy = 0;  // Helpers that have not finished the round.

  void Bind(size_t thread) const {
    if (!cpus.empty()) BindThisThread(cpus[thread]);
  }
  void Help(size_t thread) {
    Bind(thread);
    for (uint32_t seen = 0;; ++seen) {
      WaitWhile(round, seen, spin);
      if (function == nullptr) return;
      function(work, thread);
      if (busy.fetch_sub(1, std::memory_order_acq_rel) == 1) busy.notify_one();
    }
  }
  void StartRound(Function next_function, const void* next_work) {
    function = next_function;
    work = next_work;
    busy.store(static_cast<uint32_t>(helpers.size()), std::memory_order_relaxed);
    round.fetch_add(1, std::memory_order_release);
    round.notify_all();
  }
};

ThreadTeam::ThreadTeam(size_t threads, const ThreadTeamOptions& options)
    : impl_(std::make_unique<Impl>(options)) {
  for (size_t i = 1; i < threads; ++i) {
    impl_->helpers.emplace_back([impl = impl_.get(), i] { impl->Help(i); });
  }
}

ThreadTeam::ThreadTeam(size_t threads)
    : ThreadTeam(threads, SuitableTeamOptions(threads, MeasureCpuBudget())) {}

ThreadTeam::~ThreadTeam() {
  impl_->StartRound(nullptr, nullptr);
  for (std::thread& helper : impl_->helpers) helper.join();
}

size_t ThreadTeam::size() const { return impl_->helpers.size() + 1; }

void ThreadTeam::BindCaller() const { impl_->Bind(0); }

void ThreadTeam::RunErased(Function function, const void* work) {
  if (impl_->helpers.empty()) return function(work, 0);
  impl_->StartRound(function, work);
  function(work, 0);
  for (uint32_t busy = impl_->busy.load(std::memory_order_acquire); busy != 0;
       busy = impl_->busy.load(std::memory_order_acquire)) {
    WaitWhile(impl_->busy, busy, impl_->spin);
  }
}

ThreadTeamOptions SuitableTeamOptions(size_t threads, const CpuBudget& budget) {
  const size_t processors = static_cast<size_t>(budget.threads);
  ThreadTeamOptions options;
  if (threads > processors) options.spin = std::chrono::nanoseconds(0);
  if (threads == processors && threads == budget.cores.size()) options.cpus = budget.cores;
  return options;
}

std::pair<size_t, size_t> Share(size_t count, size_t thread, size_t threads, size_t multiple_of) {
  const size_t units = (count + multiple_of - 1) / multiple_of;
  const auto edge = [&](size_t i) { return std::min(count, units * i / threads * multiple_of); };
  return {edge(thread), edge(thread + 1)};
}

}  // namespace llama
