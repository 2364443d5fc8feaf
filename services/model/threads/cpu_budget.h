#ifndef LLAMA_SERVICES_MODEL_THREADS_CPU_BUDGET_H_
#define LLAMA_SERVICES_MODEL_THREADS_CPU_BUDGET_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace llama {

// How many processors this process may use, and how much memory, by each of the limits that hold.
struct CpuBudget {
  int64_t online_cpus = 1;
  int64_t affinity_cpus = 1;                 // sched_getaffinity, which a cpuset narrows too.
  std::vector<std::vector<int>> cores = {};  // Those CPUs by physical core, in order.
  std::optional<double> cgroup_cpus = {};    // Quota ÷ period of the narrowest cgroup, v1 or v2.
  int64_t threads = 1;  // The least of them (the quota rounded down), at least 1.
};
// `root` is "" for the real system; tests give a folder with faked proc and sys trees.
CpuBudget MeasureCpuBudget(const std::string& root = "");

// The machine's memory or the narrowest cgroup's limit, whichever is less, in bytes.
int64_t MeasureMemoryLimit(const std::string& root = "");
// What of that other programs leave, in bytes: at most what the machine can give without swapping
// (MemAvailable of proc(5)), of which the page cache is a part.
int64_t MeasureAvailableMemory(const std::string& root = "");

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_THREADS_CPU_BUDGET_H_
