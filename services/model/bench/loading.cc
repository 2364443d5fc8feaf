#include "services/model/bench/loading.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <vector>

#include "common/mapped_file.h"
#include "common/status_macros.h"
#include "services/model/checkpoint/parallel_for.h"

namespace llama {

absl::StatusOr<TouchedFiles> TouchFiles(const std::string& folder, int threads) {
  constexpr size_t kPieceBytes = size_t{4} << 20;
  constexpr size_t kPageBytes = 4096;
  TouchedFiles touched;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry->path().extension() != ".pth") continue;
    const auto begin = std::chrono::steady_clock::now();
    ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(entry->path().string()));
    const size_t size = file.bytes().size();
    std::atomic<unsigned> sum = 0;  // Keeps the compiler from leaving the reading out.
    ParallelFor((size + kPieceBytes - 1) / kPieceBytes, threads, [&](size_t piece) {
      unsigned bytes = 0;
      for (size_t at = piece * kPieceBytes; at < std::min(size, (piece + 1) * kPieceBytes);
           at += kPageBytes) {
        bytes += static_cast<unsigned>(file.bytes()[at]);
      }
      sum += bytes;
    });
    touched.bytes += static_cast<int64_t>(size);
    touched.seconds +=
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }
  return touched;
}

int64_t ResidentBytes() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    int64_t kilobytes = 0;
    if (word == "VmRSS:" && status >> kilobytes) return kilobytes * 1024;
  }
  return 0;
}

}  // namespace llama
