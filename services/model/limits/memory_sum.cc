#include "services/model/limits/memory_sum.h"

#include "absl/strings/str_format.h"

namespace llama {

std::string Describe(const MemorySum& sum, int64_t limit_bytes) {
  const auto megabytes = [](int64_t bytes) { return static_cast<double>(bytes) / 1e6; };
  return absl::StrFormat(
      "%.1f MB of weights + %.1f MB of KV cache + %.1f MB of scratch = %.1f MB of memory; the "
      "limit "
      "is %.1f MB",
      megabytes(sum.weights), megabytes(sum.kv_cache), megabytes(sum.scratch),
      megabytes(sum.total()), megabytes(limit_bytes));
}

}  // namespace llama
