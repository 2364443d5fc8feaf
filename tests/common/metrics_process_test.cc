#include "common/metrics_process.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstddef>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"

namespace llama {
namespace {

double Value(const std::string& name) {
  for (const prometheus::MetricFamily& family : ProcessMetrics("test").Collect()) {
    if (family.name != name) continue;
    return family.type == prometheus::MetricType::Counter ? family.metric.at(0).counter.value
                                                          : family.metric.at(0).gauge.value;
  }
  ADD_FAILURE() << name << " is missing";
  return 0;
}

TEST(ProcessMetricsTest, MemoryThatIsTouchedIsResident) {
  constexpr size_t kBytes = size_t{64} << 20;
  const double before = Value("process_resident_memory_bytes");
  const std::vector<std::byte> touched(kBytes, std::byte{1});
  EXPECT_GE(Value("process_resident_memory_bytes"), before + 0.9 * kBytes);
  EXPECT_GE(Value("process_virtual_memory_bytes"), Value("process_resident_memory_bytes"));
}

TEST(ProcessMetricsTest, ProcessorTimeIsCountedInSeconds) {
  const double before = Value("process_cpu_seconds_total");
  const clock_t start = clock();
  while (clock() - start < CLOCKS_PER_SEC / 4) {
  }
  EXPECT_NEAR(Value("process_cpu_seconds_total") - before, 0.25, 0.1);
}

TEST(ProcessMetricsTest, DescriptorsAndThreadsAreThoseThatAreOpen) {
  const double descriptors = Value("process_open_fds");
  const int fd = open("/dev/null", O_RDONLY);
  EXPECT_EQ(Value("process_open_fds"), descriptors + 1);
  const auto wait = [](const std::stop_token& stop) {
    while (!stop.stop_requested()) absl::SleepFor(absl::Milliseconds(1));
  };
  const std::jthread first(wait);  // With which ThreadSanitizer starts one of its own.
  const double threads = Value("process_threads");
  const std::jthread second(wait);
  EXPECT_EQ(Value("process_threads"), threads + 1);
  close(fd);
  EXPECT_EQ(Value("process_open_fds"), descriptors);
}

TEST(ProcessMetricsTest, TheStartIsBeforeNowAndNotLongAgo) {
  const double age =
      absl::ToDoubleSeconds(absl::Now() - absl::UnixEpoch()) - Value("process_start_time_seconds");
  EXPECT_GT(age, -2);  // The boot's time is in whole seconds.
  EXPECT_LT(age, 600);
}

}  // namespace
}  // namespace llama
