#include "services/model/checkpoint/huge_pages.h"

#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace llama {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kMostPlaces = 64;

}  // namespace

uint64_t HugePageBytes(std::istream& smaps, uintptr_t begin, uintptr_t end) {
  uint64_t bytes = 0;
  bool inside = false;
  for (std::string line; std::getline(smaps, line);) {
    const std::vector<absl::string_view> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
    if (words.empty()) continue;
    // A mapping begins with "7f0000000000-7f0000200000 r--s …", then come lines "Rss: 2048 kB".
    if (!absl::EndsWith(words[0], ":")) {
      uint64_t first = 0;
      const absl::string_view address = words[0].substr(0, words[0].find('-'));
      inside = absl::SimpleHexAtoi(address, &first) && first >= begin && first < end;
      continue;
    }
    uint64_t kilobytes = 0;
    if (inside && words.size() > 1 &&
        (words[0] == "AnonHugePages:" || words[0] == "ShmemPmdMapped:" ||
         words[0] == "FilePmdMapped:") &&
        absl::SimpleAtoi(words[1], &kilobytes)) {
      bytes += kilobytes * 1024;
    }
  }
  return bytes;
}

double ShareInHugePages(std::span<const std::byte> mapping) {
  const size_t places = std::min(mapping.size() / kHugePage, kMostPlaces);
  if (places == 0) return 0;
  [[maybe_unused]] volatile std::byte touched;
  for (size_t i = 0; i < places; ++i) touched = mapping[mapping.size() / places * i];
  std::ifstream smaps("/proc/self/smaps");
  const auto begin = reinterpret_cast<uintptr_t>(mapping.data());
  const uint64_t huge = HugePageBytes(smaps, begin, begin + mapping.size());
  return std::min(1.0, static_cast<double>(huge) / static_cast<double>(places * kHugePage));
}

}  // namespace llama
