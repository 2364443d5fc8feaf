#include "services/model/threads/cpu_budget.h"

#include <filesystem>
#include <fstream>

#include "gtest/gtest.h"
#include "tests/support/temp_folder.h"

namespace llama {
namespace {

class CpuBudgetTest : public testing::Test {
 protected:
  void Write(const std::string& path, const std::string& content) const {
    const std::filesystem::path file = root_ + path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << content << "\n";
  }

  const TempFolder temp_;
  const std::string root_ = temp_.path();
};

TEST_F(CpuBudgetTest, WithoutACgroupThereIsNoQuota) {
  const CpuBudget budget = MeasureCpuBudget(root_);
  EXPECT_FALSE(budget.cgroup_cpus.has_value());
  EXPECT_GE(budget.threads, 1);
  EXPECT_LE(budget.threads, budget.affinity_cpus);
}

TEST_F(CpuBudgetTest, TheNarrowestQuotaOfAllAncestorsHolds) {
  Write("/proc/self/cgroup", "0::/outer/inner");
  Write("/sys/fs/cgroup/outer/inner/cpu.max", "max 100000");
  Write("/sys/fs/cgroup/outer/cpu.max", "150000 100000");
  const CpuBudget budget = MeasureCpuBudget(root_);
  EXPECT_EQ(budget.cgroup_cpus, 1.5);
  EXPECT_EQ(budget.threads, 1);
}

TEST_F(CpuBudgetTest, VersionOneQuotasCountToo) {
  Write("/proc/self/cgroup", "4:cpu,cpuacct:/box\n3:memory:/box");
  Write("/sys/fs/cgroup/cpu/box/cpu.cfs_quota_us", "50000");
  Write("/sys/fs/cgroup/cpu/box/cpu.cfs_period_us", "100000");
  EXPECT_EQ(MeasureCpuBudget(root_).cgroup_cpus, 0.5);
  EXPECT_EQ(MeasureCpuBudget(root_).threads, 1);
  Write("/sys/fs/cgroup/cpu/box/cpu.cfs_quota_us", "-1");
  EXPECT_FALSE(MeasureCpuBudget(root_).cgroup_cpus.has_value());
}

TEST_F(CpuBudgetTest, AQuotaIsRoundedDownToWholeCpusAndNeverRaisesTheirNumber) {
  Write("/proc/self/cgroup", "0::/");
  Write("/sys/fs/cgroup/cpu.max", "199999 100000");
  EXPECT_EQ(MeasureCpuBudget(root_).threads, 1);
  Write("/sys/fs/cgroup/cpu.max", "100000000 100000");
  EXPECT_EQ(MeasureCpuBudget(root_).cgroup_cpus, 1000);
  EXPECT_LE(MeasureCpuBudget(root_).threads, MeasureCpuBudget(root_).affinity_cpus);
}

TEST_F(CpuBudgetTest, QuotasThatMakeNoSenseAreNone) {
  Write("/proc/self/cgroup", "nonsense\n0::/box");
  for (const char* const text : {"", "max", "100000", "-5 100000", "100000 0", "a b", "1 2 3"}) {
    Write("/sys/fs/cgroup/box/cpu.max", text);
    EXPECT_FALSE(MeasureCpuBudget(root_).cgroup_cpus.has_value()) << text;
  }
}

TEST_F(CpuBudgetTest, InAContainerTheHostsPathIsNotThereAndTheRootsQuotaHolds) {
  Write("/proc/self/cgroup", "0::/host/path/of/the/container");
  Write("/sys/fs/cgroup/cpu.max", "150000 100000");
  EXPECT_EQ(MeasureCpuBudget(root_).cgroup_cpus, 1.5);
}

TEST_F(CpuBudgetTest, HardwareThreadsOfOneCoreCountOnce) {
  const CpuBudget without = MeasureCpuBudget(root_);
  EXPECT_EQ(without.cores.size(), static_cast<size_t>(without.affinity_cpus));
  for (int cpu = 0; cpu < 256; ++cpu) {
    Write("/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/thread_siblings_list",
          "0-255");
  }
  ASSERT_EQ(MeasureCpuBudget(root_).cores.size(), 1u);
  EXPECT_EQ(MeasureCpuBudget(root_).cores[0].size(), static_cast<size_t>(without.affinity_cpus));
  EXPECT_EQ(MeasureCpuBudget(root_).threads, 1);
  EXPECT_EQ(MeasureCpuBudget(root_).affinity_cpus, without.affinity_cpus);
}

TEST_F(CpuBudgetTest, MemoryIsTheLeastOfMachineAndCgroups) {
  Write("/proc/meminfo", "MemTotal:        1000 kB\nMemFree: 5 kB\nMemAvailable:     600 kB");
  EXPECT_EQ(MeasureMemoryLimit(root_), 1024000);
  EXPECT_EQ(MeasureAvailableMemory(root_), 614400);
  Write("/proc/self/cgroup", "0::/box");
  Write("/sys/fs/cgroup/box/memory.max", "max");
  EXPECT_EQ(MeasureMemoryLimit(root_), 1024000);
  Write("/sys/fs/cgroup/memory.max", "4096");
  EXPECT_EQ(MeasureMemoryLimit(root_), 4096);
  EXPECT_EQ(MeasureAvailableMemory(root_), 4096);
  Write("/proc/meminfo", "MemTotal:        1000 kB");
  EXPECT_EQ(MeasureAvailableMemory(root_), 4096) << "the system does not say";
}

}  // namespace
}  // namespace llama
