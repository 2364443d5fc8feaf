#include "services/model/threads/cpu_budget.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <map>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace llama {
namespace {

std::string ReadLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// The folder of this process's cgroup and of each of its ancestors, for a v1 controller or, with
// "", for v2. A limit of any of them holds.
std::vector<std::string> CgroupFolders(const std::string& root, const std::string& controller) {
  std::ifstream file(root + "/proc/self/cgroup");
  std::vector<std::string> folders;
  for (std::string line; std::getline(file, line);) {
    // "4:cpu,cpuacct:/some/group" or, v2, "0::/some/group".
    const std::vector<std::string> fields = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (fields.size() != 3) continue;
    const std::vector<std::string> controllers = absl::StrSplit(fields[1], ',');
    if (controller.empty()
            ? !fields[1].empty()
            : std::find(controllers.begin(), controllers.end(), controller) == controllers.end()) {
      continue;
    }
    const std::string base = controller.empty() ? root + "/sys/fs/cgroup"
                                                : absl::StrCat(root, "/sys/fs/cgroup/", controller);
    // In a container the path may be the host's, while the mount shows the group itself as its
    // root: folders that are not there have no limits, and the root is among them.
    for (std::string path = fields[2]; !path.empty() && path != "/";
         path = path.substr(0, path.rfind('/'))) {
      folders.push_back(base + path);
    }
    folders.push_back(base);
  }
  return folders;
}

std::optional<double> CgroupCpus(const std::string& root) {
  std::optional<double> least;
  const auto take = [&least](double quota, double period) {
    if (quota > 0 && period > 0) least = std::min(least.value_or(quota / period), quota / period);
  };
  for (const std::string& folder : CgroupFolders(root, "")) {
    const std::vector<std::string> fields = absl::StrSplit(ReadLine(folder + "/cpu.max"), ' ');
    double quota = 0;
    double period = 0;
    if (fields.size() == 2 && absl::SimpleAtod(fields[0], &quota) &&
        absl::SimpleAtod(fields[1], &period)) {
      take(quota, period);
    }
  }
  for (const std::string& folder : CgroupFolders(root, "cpu")) {
    double quota = 0;
    double period = 0;
    if (absl::SimpleAtod(ReadLine(folder + "/cpu.cfs_quota_us"), &quota) &&
        absl::SimpleAtod(ReadLine(folder + "/cpu.cfs_period_us"), &period)) {
      take(quota, period);
    }
  }
  return least;
}

// The CPUs that this thread may run on; 0 to online - 1 if the system does not say.
std::vector<int> AffinityCpus(int64_t online) {
  std::vector<int> cpus;
  // The set must be as large as the kernel's, which the first guess may not be.
  for (int size = 1024; size <= 1 << 16; size *= 2) {
    cpu_set_t* const set = CPU_ALLOC(static_cast<size_t>(size));
    const size_t bytes = CPU_ALLOC_SIZE(static_cast<size_t>(size));
    const bool known = sched_getaffinity(0, bytes, set) == 0;
    for (int cpu = 0; known && cpu < size; ++cpu) {
      if (CPU_ISSET_S(static_cast<size_t>(cpu), bytes, set)) cpus.push_back(cpu);
    }
    CPU_FREE(set);
    if (known) return cpus;
  }
  for (int cpu = 0; cpu < online; ++cpu) cpus.push_back(cpu);
  return cpus;
}

// Those CPUs by core. Hardware threads of one core share what computes; a CPU of which the system
// does not say is a core of its own.
std::vector<std::vector<int>> Cores(const std::string& root, const std::vector<int>& cpus) {
  std::vector<std::vector<int>> cores;
  std::map<std::string, size_t> core_of_siblings;
  for (const int cpu : cpus) {
    const std::string siblings = ReadLine(
        absl::StrCat(root, "/sys/devices/system/cpu/cpu", cpu, "/topology/thread_siblings_list"));
    const auto [core, is_new] = core_of_siblings.emplace(
        siblings.empty() ? absl::StrCat("cpu ", cpu) : siblings, cores.size());
    if (is_new) cores.emplace_back();
    cores[core->second].push_back(cpu);
  }
  return cores;
}

// A line of /proc/meminfo, in bytes.
std::optional<int64_t> FindMemory(const std::string& root, absl::string_view name) {
  std::ifstream meminfo(root + "/proc/meminfo");
  for (std::string line; std::getline(meminfo, line);) {
    int64_t kilobytes = 0;
    absl::string_view text = line;
    if (absl::ConsumePrefix(&text, name) && absl::ConsumeSuffix(&text, " kB") &&
        absl::SimpleAtoi(absl::StripAsciiWhitespace(text), &kilobytes)) {
      return kilobytes * 1024;
    }
  }
  return std::nullopt;
}

}  // namespace

CpuBudget MeasureCpuBudget(const std::string& root) {
  CpuBudget budget;
  budget.online_cpus = std::max<int64_t>(sysconf(_SC_NPROCESSORS_ONLN), 1);
  const std::vector<int> cpus = AffinityCpus(budget.online_cpus);
  budget.affinity_cpus = static_cast<int64_t>(cpus.size());
  budget.cores = Cores(root, cpus);
  budget.cgroup_cpus = CgroupCpus(root);
  const double quota = std::floor(budget.cgroup_cpus.value_or(1e6));
  budget.threads =
      std::max<int64_t>(1, std::min({budget.online_cpus, static_cast<int64_t>(budget.cores.size()),
                                     static_cast<int64_t>(quota)}));
  return budget;
}

int64_t MeasureMemoryLimit(const std::string& root) {
  int64_t least = FindMemory(root, "MemTotal:").value_or(std::numeric_limits<int64_t>::max());
  for (const auto& [controller, file] :
       {std::pair("", "/memory.max"), std::pair("memory", "/memory.limit_in_bytes")}) {
    for (const std::string& folder : CgroupFolders(root, controller)) {
      int64_t bytes = 0;
      if (absl::SimpleAtoi(ReadLine(folder + file), &bytes) && bytes > 0) {
        least = std::min(least, bytes);
      }
    }
  }
  return least;
}

int64_t MeasureAvailableMemory(const std::string& root) {
  const int64_t limit = MeasureMemoryLimit(root);
  return std::min(limit, FindMemory(root, "MemAvailable:").value_or(limit));
}

}  // namespace llama
