#ifndef LLAMA_SERVICES_MODEL_BENCH_BENCH_H_
#define LLAMA_SERVICES_MODEL_BENCH_BENCH_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "services/model/checkpoint/checkpoint.h"
#include "services/model/kernels/kernels.h"
#include "services/model/limits/machine_limits.h"

namespace llama {

struct BenchOptions {
  std::string folder = {};
  const Kernels* kernels = nullptr;
  int64_t threads = 1;
  DataType activations = DataType::kBf16;
  WeightPlacement placement = WeightPlacement::kAuto;
  std::vector<int64_t> prompts = {};   // Tokens of a prompt.
  std::vector<int64_t> batches = {};   // Sequences that are decoded together.
  std::vector<int64_t> contexts = {};  // Positions before the first that is decoded.
  std::vector<int64_t> streams = {};   // Replies that the engine generates together.
  int64_t generate = 64;               // Steps of a run of decoding, tokens of a reply.
  int64_t max_batch_tokens = 512;      // Of a prompt, computed together.
  int64_t runs = 5;                    // Of each test; the median counts.
  // Read to measure the read speed: more than the caches hold. Given back before the memory in use
  // is looked at.
  int64_t read_bytes = int64_t{256} << 20;
  int64_t memory_limit_bytes = 0;  // 0: MeasureMemoryLimit().
};

// Shares are of the limits measured right before and after each run, on average.
struct PrefillResult {
  int64_t tokens = 0;
  double tokens_per_second = 0;
  double ratio = 0;  // 2 * weights of the layers' matrices * tokens/s, the output's once, ÷ peak.
  double ratio_with_attention = 0;  // The same, with the arithmetic of attention.
};
struct DecodeResult {
  int64_t batch = 0;
  int64_t context = 0;
  double tokens_per_second = 0;  // Of all sequences.
  double ratio = 0;              // The larger one of:
  double memory_ratio = 0;  // bytes of weights and cache that a step reads * steps/s ÷ read speed
  double arithmetic_ratio = 0;  // 2 * weights * tokens/s ÷ peak
};
struct LoadResult {
  double seconds = 0;
  int64_t bytes = 0;      // Of the files.
  bool resident = false;  // As Checkpoint::resident().
  // Bytes per second ÷ those of threads that touch every page of the mapped files.
  double ratio = 0;
  double read_ratio = 0;  // Bytes per second ÷ read speed: checksums read every byte.
};
struct RepliesResult {
  int64_t streams = 0;
  double tokens_per_second = 0;  // Of all replies, from their requests to the last one's end.
};
struct MemoryResult {
  int64_t resident_bytes = 0;
  int64_t weight_bytes = 0;
  int64_t kv_cache_bytes = 0;  // That were written.
};

// Told of each result as it comes, in this order.
struct BenchSink {
  std::function<void(const MachineLimits&)> limits;
  std::function<void(const LoadResult&)> load;
  std::function<void(const PrefillResult&)> prefill;
  std::function<void(const DecodeResult&)> decode;
  std::function<void(const RepliesResult&)> replies;
  std::function<void(const MemoryResult&)> memory;
};

// Loads the checkpoint and measures in this process: prefill and decode are the forward pass alone,
// replies are scheduled and sampled as lnb-model's are, without rpcs. Errors: RESOURCE_EXHAUSTED,
// with the sum, before anything is loaded that does not fit; those of Checkpoint::Load() and
// KvCache::Create().
absl::Status RunBench(const BenchOptions& options, const BenchSink& sink);

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_BENCH_BENCH_H_
