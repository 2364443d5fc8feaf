#ifndef LLAMA_SERVICES_MODEL_SERVED_MODEL_H_
#define LLAMA_SERVICES_MODEL_SERVED_MODEL_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "services/model/checkpoint/checkpoint.h"
#include "services/model/engine/engine.h"
#include "services/model/kernels/kernels.h"
#include "services/model/threads/cpu_budget.h"
#include "services/model/threads/thread_team.h"
#include "services/model/transformer/kv_cache.h"
#include "services/model/transformer/transformer.h"

namespace llama {

struct ServedModelOptions {
  std::string folder = {};
  std::string name = {};             // Default: the folder's name.
  std::string instruction_set = {};  // Default: the fastest that the processor has.
  int64_t threads = 0;               // 0: as many as the process may use.
  DataType activations = DataType::kBf16;
  int64_t context_length = 0;  // 0: 4096, Llama 2's.
  int64_t kv_cache_bytes = 0;  // 0: what the running sequences can use, as far as memory allows.
  int64_t memory_limit_bytes = 0;  // 0: the machine's or the cgroup's.
  int64_t max_batch_tokens = 512;
  bool verify = true;
  WeightPlacement placement = WeightPlacement::kAuto;
  EngineOptions engine = {};
};

// How the model will compute and what memory it takes, known before loading.
struct ComputePlan {
  CpuBudget cpus;
  const Kernels* kernels = nullptr;
  int64_t threads = 1;
  TransformerOptions transformer;
  int64_t kv_blocks = 0;
  int64_t weight_bytes = 0;
  int64_t kv_cache_bytes = 0;
  int64_t scratch_bytes = 0;
  int64_t memory_limit_bytes = 0;
  // Known when loaded, 0 or false until then.
  bool resident = false;                           // As Checkpoint::resident().
  int64_t bytes_per_decode_step = 0;               // Of weights that a step reads at batch 1.
  double memory_read_bytes_per_second = 0;         // Measured, on the threads that compute.
  double decode_tokens_per_second_limit() const {  // At batch 1.
    return bytes_per_decode_step == 0
               ? 0
               : memory_read_bytes_per_second / static_cast<double>(bytes_per_decode_step);
  }
};

// Errors: those of MeasureCheckpoint(); INVALID_ARGUMENT, naming the flag; RESOURCE_EXHAUSTED with
// the sum, if weights, cache and scratch do not fit the memory.
absl::StatusOr<ComputePlan> PlanCompute(const ServedModelOptions& options);
// "2 threads, avx512_bf16, bf16 activations; 0.60 MB of weights + …".
std::string Describe(const ComputePlan& plan);
// Of a loaded model: "2 threads of 2 cores (2 CPUs online, 2 allowed, no cgroup quota); weights
// used where they are mapped; memory is read at 55.3 GB/s, which allows 26.7 tokens/s for one
// reply".
std::string DescribeSpeed(const ComputePlan& plan);

// A checkpoint with all that it takes to answer requests.
class ServedModel {
 public:
  // Loads what `plan` was made for. `progress` as in CheckpointOptions. Errors:
  // Checkpoint::Load()'s.
  static absl::StatusOr<std::unique_ptr<ServedModel>> Load(const ServedModelOptions& options,
                                                           const ComputePlan& plan,
                                                           std::function<void(double)> progress);

  const std::string& name() const { return name_; }
  const std::string& tokenizer_digest() const { return tokenizer_digest_; }
  const ComputePlan& plan() const { return plan_; }
  const Checkpoint& checkpoint() const { return *checkpoint_; }
  const EngineOptions& engine_options() const { return engine_options_; }
  Engine& engine() { return *engine_; }

 private:
  ServedModel() = default;

  std::string name_;
  std::string tokenizer_digest_;  // Of the folder's tokenizer.model; empty if there is none.
  ComputePlan plan_;
  EngineOptions engine_options_;
  std::unique_ptr<Checkpoint> checkpoint_;
  std::unique_ptr<ThreadTeam> team_;
  std::unique_ptr<Transformer> transformer_;
  std::unique_ptr<KvCache> cache_;
  std::unique_ptr<Engine> engine_;
};

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_SERVED_MODEL_H_
