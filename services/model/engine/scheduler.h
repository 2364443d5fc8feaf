#ifndef LLAMA_SERVICES_MODEL_ENGINE_SCHEDULER_H_
#define LLAMA_SERVICES_MODEL_ENGINE_SCHEDULER_H_

#include <cstdint>
#include <deque>
#include <vector>

#include "services/model/transformer/kv_cache.h"

namespace llama {

// What the scheduler knows of a sequence. The engine's Sequence holds one.
struct Schedulable {
  // Set by the engine.
  int64_t length = 0;       // Tokens known: prompt and reply so far.
  int64_t computed = 0;     // Tokens whose keys and values are in the cache. At most length.
  int64_t next_logits = 0;  // First position whose logits are still wanted. Below length.
  bool paused = false;      // Its reader does not keep up.
  // Set by the scheduler.
  std::vector<KvBlock> blocks;
  bool running = false;
  int64_t arrival = 0;  // Counts up in the order of Add().
};

// A stretch of a sequence to compute in the next batch: tokens [begin, begin + count).
struct Slice {
  Schedulable* sequence = nullptr;
  int64_t begin = 0;
  int64_t count = 0;
};

struct SchedulerOptions {
  int64_t max_running = 32;
  int64_t max_batch_tokens = 512;
  int64_t max_batch_logits = 64;  // At least max_running.
  int64_t blocks = 0;             // Of the KV cache.
};

// Decides what the next batch computes, and owns the blocks of the KV cache: the running sequences'
// next tokens first, then prompts in chunks, in turn, up to max_batch_tokens. When the blocks run
// out a paused sequence, or else the one that came last, gives its blocks up and is computed again
// later; a paused one also gives its place to one that waits. So of the running sequences that are
// not paused the one that came first always gets on, and of the waiting ones it is the next to run.
// Pure bookkeeping: no clock, no threads, no tokens. Used by one thread at a time.
class Scheduler {
 public:
  explicit Scheduler(const SchedulerOptions& options);

  // Queues a sequence behind those that wait. It must stay alive until Remove(). REQUIRES: it will
  // never need more blocks than there are.
  void Add(Schedulable* sequence);
  // Forgets a sequence, wherever it is; its blocks are free at once.
  void Remove(Schedulable* sequence);

  // The next batch: slices of different sequences, each with the blocks that it needs. A slice
  // never goes beyond what its sequence's `length` says. Empty only if all sequences are paused.
  // The engine then raises `computed` by each slice's count.
  std::vector<Slice> Plan();

  int64_t free_blocks() const { return static_cast<int64_t>(free_.size()); }
  int64_t running() const { return static_cast<int64_t>(running_.size()); }
  int64_t waiting() const { return static_cast<int64_t>(waiting_.size()); }
  // How often a sequence gave its blocks up.
  int64_t preemptions() const { return preemptions_; }
  // How many sequences wait before this one; 0 if it runs.
  int64_t PositionOf(const Schedulable* sequence) const;

  // The blocks that `tokens` tokens need.
  static int64_t BlocksFor(int64_t tokens);

 private:
  // Moves sequences from waiting to running while there is a place, and room for what is known of
  // them: less would be computed in vain.
  void Admit();
  // Makes `sequence` own the blocks of its first `tokens` tokens, at the cost of victims. False if
  // that is not enough.
  bool Grow(Schedulable* sequence, int64_t tokens, const std::vector<Slice>& batch);
  // Who gives its blocks up for `sequence`; null if nobody does.
  Schedulable* FindVictim(const Schedulable* sequence, const std::vector<Slice>& batch) const;
  void Preempt(Schedulable* sequence);
  void FreeBlocks(Schedulable* sequence);

  const SchedulerOptions options_;
  std::vector<KvBlock> free_;
  std::deque<Schedulable*> waiting_;  // Both in the order in which they came.
  std::vector<Schedulable*> running_;
  int64_t arrivals_ = 0;
  int64_t preemptions_ = 0;
  size_t turn_ = 0;  // Whose prompt is first in the next batch.
};

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_ENGINE_SCHEDULER_H_
