#ifndef LLAMA_SERVICES_MODEL_BENCH_REPLIES_H_
#define LLAMA_SERVICES_MODEL_BENCH_REPLIES_H_

#include <cstdint>

#include "absl/status/status.h"
#include "services/model/engine/engine.h"
#include "services/model/transformer/kv_cache.h"

namespace llama {

// Of each reply's prompt.
inline constexpr int64_t kReplyPromptTokens = 16;

// Of the KV cache, for a reply and its prompt.
constexpr int64_t ReplyBlocks(int64_t tokens) {
  return (kReplyPromptTokens + tokens) / kKvBlockTokens + 1;
}

// Of an engine that takes as many replies at once, even before it has seen that the last ones'
// places are free: then all wait, of one caller, whose share of the queue is less than the whole.
inline EngineOptions ReplyEngineOptions(int64_t streams) {
  return {.max_running = streams,
          .max_waiting = 2 * streams,
          .max_waiting_prefill_tokens = 4 * streams * kReplyPromptTokens};
}

struct ReplyPlan {
  int64_t streams = 1;  // Replies, all at the same time.
  int64_t tokens = 64;  // Of each.
  uint64_t seed = 1;    // Of prompts and draws. Another one's prompts are others, too.
};

// Asks the engine, of ReplyEngineOptions(), for the replies and waits for the last one's end. They
// are those of lnb-load: random prompts, drawn at temperature 1, past the end of sequence. Errors:
// those of Engine::Submit(), and what a reply ended with.
absl::Status GenerateReplies(Engine& engine, uint32_t vocab_size, const ReplyPlan& plan);

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_BENCH_REPLIES_H_
