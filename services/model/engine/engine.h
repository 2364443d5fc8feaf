#ifndef LLAMA_SERVICES_MODEL_ENGINE_ENGINE_H_
#define LLAMA_SERVICES_MODEL_ENGINE_ENGINE_H_

#include <memory>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "services/model/engine/engine_core.h"
#include "services/model/engine/request.h"
#include "services/model/transformer/transformer.h"

namespace llama {

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
  absl::Status Submit(GenerateRequest request, std::shared_ptr<EventSink> sink) {
    return core_.Submit(std::move(request), std::move(sink));
  }
  // Teacher forcing: writes a PositionScore for each position from from_position on. Errors
  // likewise.
  absl::Status Submit(ScoreRequest request, std::shared_ptr<EventSink> sink) {
    return core_.Submit(std::move(request), std::move(sink));
  }
  // Makes the engine look at its sinks' writable() and cancelled() again.
  void Wake() { core_.Wake(); }
  EngineLoad load() const { return core_.load(); }

 private:
  EngineCore core_;
  std::thread thread_;
};

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_ENGINE_ENGINE_H_
