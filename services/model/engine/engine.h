#ifndef LLAMA_SERVICES_MODEL_ENGINE_ENGINE_H_
#define LLAMA_SERVICES_MODEL_ENGINE_ENGINE_H_

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "services/model/engine/request.h"
#include "services/model/transformer/transformer.h"

namespace llama {

struct EngineOptions {
  int64_t max_running = 32;  // Sequences in the batch.
  int64_t max_waiting = 64;  // Requests that wait for a place.
  int64_t max_waiting_prefill_tokens =
      262144;  // Prompt tokens not yet computed, over all requests.
};

// As GetLoadResponse.
struct EngineLoad {
  int64_t running = 0;
  int64_t waiting = 0;
  int64_t waiting_prefill_tokens = 0;
  int64_t kv_cache_bytes_used = 0;
  int64_t kv_cache_bytes_total = 0;
  double prefill_tokens_per_second = 0;
  double decode_tokens_per_second = 0;
  double prefix_cache_hit_rate = 0;
  absl::Duration max_decode_gap;
};

// Steps all requests together on a thread of its own: continuous batching (Orca, OSDI 2022) over
// the paged KV cache (vLLM, arXiv:2309.06180). Each step runs one batch: the running decodes first,
// then chunks of waiting prompts up to the transformer's max_batch_tokens. Thread-safe.
class Engine {
 public:
  // Both must outlive the engine. The cache is the engine's alone.
  Engine(const ModelConfig& config, Transformer& transformer, KvCache& cache,
         const EngineOptions& options);
  // Ends the requests that are left with CANCELLED.
  ~Engine();

  // Checks the request and queues it. On success Accepted has been written to the sink, and
  // Finish() will be called once; on failure nothing is called. Errors, with the proto's field
  // paths: INVALID_ARGUMENT (FIELD_INVALID; CONTEXT_LENGTH_EXCEEDED), RESOURCE_EXHAUSTED
  // (QUEUE_FULL, DEADLINE_UNREACHABLE, KV_CACHE_TOO_SMALL). No lock is held while the sink is
  // called.
  absl::Status Submit(GenerateRequest request, std::shared_ptr<EventSink> sink);
  // Teacher forcing: writes one PositionScore per position from from_position on. Errors likewise.
  absl::Status Submit(ScoreRequest request, std::shared_ptr<EventSink> sink);
  // Makes the engine look at its sinks' writable() and cancelled() again.
  void Wake();
  EngineLoad load() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_ENGINE_ENGINE_H_
