#include "services/model/engine/engine.h"

namespace llama {

Engine::Engine(const ModelConfig& config, Transformer& transformer, KvCache& cache,
               const EngineOptions& options)
    : core_(
          {.model = {.vocab_size = config.vocab_size,
                     .context_length = transformer.options().context_length},
           .engine = options,
           .max_batch_tokens = transformer.options().max_batch_tokens,
           .max_batch_logits = transformer.options().max_batch_logits,
           .kv_blocks = cache.blocks(),
           .kv_block_bytes = KvCache::BlockBytes(config, cache.type())},
          [this, &transformer, &cache](std::span<const BatchToken> batch, std::span<float> logits) {
            transformer.Forward(batch, cache, logits, [this] { core_.ReportWithinStep(); });
          },
          absl::Now,
          {.count = transformer.team().size(),
           .run = [&team = transformer.team()](
                      absl::FunctionRef<void(size_t)> work) { team.Run(work); }}),
      thread_([this, &transformer] {
        transformer.team().BindCaller();
        while (!core_.stopped()) {
          if (!core_.Step() && !core_.AwaitWork()) return;
        }
      }) {}

Engine::~Engine() {
  core_.Stop();
  thread_.join();
}

}  // namespace llama
