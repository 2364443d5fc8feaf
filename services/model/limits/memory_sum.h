#ifndef LLAMA_SERVICES_MODEL_LIMITS_MEMORY_SUM_H_
#define LLAMA_SERVICES_MODEL_LIMITS_MEMORY_SUM_H_

#include <cstdint>
#include <string>

namespace llama {

// The memory that a model takes, in bytes.
struct MemorySum {
  int64_t weights = 0;
  int64_t kv_cache = 0;
  int64_t scratch = 0;

  int64_t total() const { return weights + kv_cache + scratch; }
};

// "W MB of weights + K MB of KV cache + S MB of scratch = T MB of memory; the limit is L MB"
std::string Describe(const MemorySum& sum, int64_t limit_bytes);

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_LIMITS_MEMORY_SUM_H_
