#include "common/metrics_process.h"

#include <sys/resource.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "common/metrics_family.h"
#include "common/program.h"

namespace llama {
namespace {

// /proc/self/stat, in the counting of proc(5).
constexpr size_t kUserTicks = 14;
constexpr size_t kSystemTicks = 15;
constexpr size_t kThreads = 20;
constexpr size_t kStartTicks = 22;
constexpr size_t kVirtualBytes = 23;
constexpr size_t kResidentPages = 24;

std::string ReadAll(const char* path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The fields of /proc/self/stat from the third on: the second, the program's name in parentheses,
// may hold anything.
class ProcessStat {
 public:
  ProcessStat() {
    const std::string text = ReadAll("/proc/self/stat");
    const size_t name_end = text.rfind(") ");
    if (name_end != std::string::npos) {
      fields_ = absl::StrSplit(text.substr(name_end + 2), absl::ByAnyChar(" \n"));
    }
  }
  std::optional<double> field(size_t number) const {
    double value = 0;
    if (number - 3 >= fields_.size() || !absl::SimpleAtod(fields_[number - 3], &value)) return {};
    return value;
  }

 private:
  std::vector<std::string> fields_;
};

// Seconds since the epoch.
std::optional<double> BootTime() {
  for (const absl::string_view line : absl::StrSplit(ReadAll("/proc/stat"), '\n')) {
    const std::pair<absl::string_view, absl::string_view> pair = absl::StrSplit(line, ' ');
    double value = 0;
    if (pair.first == "btime" && absl::SimpleAtod(pair.second, &value)) return value;
  }
  return {};
}

std::optional<double> CountOpenDescriptors() {
  std::error_code error;
  std::filesystem::directory_iterator entry("/proc/self/fd", error);
  if (error) return {};
  double count = -1;  // Without the one that counts.
  for (; entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    if (error) return {};
    ++count;
  }
  return count;
}

std::optional<double> MaxDescriptors() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return {};
  return static_cast<double>(limit.rlim_cur);
}

}  // namespace

std::vector<prometheus::MetricFamily> ProcessMetrics::Collect() const {
  const ProcessStat stat;
  const auto ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  const auto page = static_cast<double>(sysconf(_SC_PAGESIZE));
  std::vector<prometheus::MetricFamily> families;
  const auto gauge = [&](const char* name, const char* help, std::optional<double> value) {
    if (value.has_value()) families.push_back(GaugeFamily(name, help, {{*value}}));
  };
  families.push_back(
      GaugeFamily("lnb_build_info", "The program and its version; always 1.",
                  {{1, {{"program", program_}, {"version", std::string(ProgramVersion())}}}}));
  if (const auto user = stat.field(kUserTicks), system = stat.field(kSystemTicks); user && system) {
    families.push_back(CounterFamily("process_cpu_seconds_total",
                                     "User and system CPU time spent, in seconds.",
                                     {{(*user + *system) / ticks}}));
  }
  if (const auto pages = stat.field(kResidentPages)) {
    gauge("process_resident_memory_bytes", "Resident memory, mapped weights included, in bytes.",
          *pages * page);
  }
  gauge("process_virtual_memory_bytes", "Virtual memory, in bytes.", stat.field(kVirtualBytes));
  gauge("process_threads", "Threads of the process.", stat.field(kThreads));
  if (const auto start = stat.field(kStartTicks), boot = BootTime(); start && boot) {
    gauge("process_start_time_seconds", "When the process started, in seconds since the epoch.",
          *boot + *start / ticks);
  }
  gauge("process_open_fds", "Open file descriptors.", CountOpenDescriptors());
  gauge("process_max_fds", "Most file descriptors that may be open.", MaxDescriptors());
  return families;
}

}  // namespace llama
