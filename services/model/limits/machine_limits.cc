#include "services/model/limits/machine_limits.h"

#include <algorithm>
#include <chrono>
#include <vector>

namespace llama {
namespace {

using Clock = std::chrono::steady_clock;

double Seconds(Clock::duration duration) { return std::chrono::duration<double>(duration).count(); }

// Seconds that work(thread) takes on all threads at once.
template <typename Work>
double TimeTogether(ThreadTeam& team, const Work& work) {
  team.Run([](size_t) {});  // Awake.
  const auto begin = Clock::now();
  team.Run(work);
  return Seconds(Clock::now() - begin);
}

}  // namespace

double MeasureReadSpeed(const Kernels& kernels, ThreadTeam& team, std::span<const std::byte> memory,
                        int passes) {
  const size_t elements = memory.size() / sizeof(Bf16);
  std::vector<float> sums(team.size());  // Keeps the compiler from leaving the reading out.
  double best = 0;
  for (const size_t cols : {size_t{512}, size_t{4} << 10, size_t{16} << 10, size_t{256} << 10}) {
    const size_t rows = elements / cols;
    if (rows < 4 * team.size()) continue;
    const size_t bytes = rows / 4 * 4 * cols * sizeof(Bf16);  // In whole fours, as they are shared.
    for (int pass = 0; pass < passes; ++pass) {
      const double seconds = TimeTogether(team, [&](size_t thread) {
        const auto [begin, end] = Share(rows, thread, team.size(), 4);
        sums[thread] +=
            kernels.read_rows_bf16(memory.data() + begin * cols * sizeof(Bf16), end - begin, cols);
      });
      best = std::max(best, static_cast<double>(bytes) / seconds);
    }
  }
  return best;
}

double MeasureFlops(const Kernels& kernels, ThreadTeam& team, DataType activations) {
  const auto multiply_adds =
      activations == DataType::kBf16 ? kernels.multiply_adds_bf16 : kernels.multiply_adds_f32;
  constexpr size_t kRounds = 20000;
  constexpr int kPasses = 10;
  double best = 0;
  for (int pass = 0; pass < kPasses; ++pass) {
    std::vector<uint64_t> counts(team.size());
    const double seconds =
        TimeTogether(team, [&](size_t thread) { counts[thread] = multiply_adds(kRounds); });
    uint64_t sum = 0;
    for (const uint64_t count : counts) sum += count;
    best = std::max(best, 2 * static_cast<double>(sum) / seconds);
  }
  return best;
}

}  // namespace llama
