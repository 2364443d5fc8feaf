#include "services/model/threads/thread_team.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

#include "services/model/threads/cpu_budget.h"

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

}  // namespace

struct ThreadTeam::Impl {
  explicit Impl(std::chrono::nanoseconds spin_time) : spin(spin_time) {}

  const std::chrono::nanoseconds spin;
  Function function = nullptr;  // Null: the end.
  const void* work = nullptr;
  std::vector<std::thread> helpers;
  // Each run is a new round. The work is written before its round begins. The two counters are
  // written by different threads: each has a cache line of its own.
  alignas(64) std::atomic<uint32_t> round = 0;
  alignas(64) std::atomic<uint32_t> busy = 0;  // Helpers that have not finished the round.

  void Help(size_t thread) {
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

ThreadTeam::ThreadTeam(size_t threads, std::chrono::nanoseconds spin)
    : impl_(std::make_unique<Impl>(spin)) {
  for (size_t i = 1; i < threads; ++i) {
    impl_->helpers.emplace_back([impl = impl_.get(), i] { impl->Help(i); });
  }
}

ThreadTeam::ThreadTeam(size_t threads)
    : ThreadTeam(threads, SpinFor(threads, static_cast<size_t>(MeasureCpuBudget().threads))) {}

ThreadTeam::~ThreadTeam() {
  impl_->StartRound(nullptr, nullptr);
  for (std::thread& helper : impl_->helpers) helper.join();
}

size_t ThreadTeam::size() const { return impl_->helpers.size() + 1; }

void ThreadTeam::RunErased(Function function, const void* work) {
  if (impl_->helpers.empty()) return function(work, 0);
  impl_->StartRound(function, work);
  function(work, 0);
  for (uint32_t busy = impl_->busy.load(std::memory_order_acquire); busy != 0;
       busy = impl_->busy.load(std::memory_order_acquire)) {
    WaitWhile(impl_->busy, busy, impl_->spin);
  }
}

std::chrono::nanoseconds SpinFor(size_t threads, size_t processors) {
  return threads <= processors ? kTeamSpin : std::chrono::nanoseconds(0);
}

std::pair<size_t, size_t> Share(size_t count, size_t thread, size_t threads, size_t multiple_of) {
  const size_t units = (count + multiple_of - 1) / multiple_of;
  const auto edge = [&](size_t i) { return std::min(count, units * i / threads * multiple_of); };
  return {edge(thread), edge(thread + 1)};
}

}  // namespace llama
