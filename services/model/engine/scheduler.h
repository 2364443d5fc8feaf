#ifndef LLAMA_SERVICES_MODEL_ENGINE_SCHEDULER_H_
#define LLAMA_SERVICES_MODEL_ENGINE_SCHEDULER_H_

#include <cstdint>
#include <deque>
#include <limits>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "services/model/engine/block_pool.h"
#include "services/model/engine/request.h"
#include "services/model/transformer/kv_cache.h"

namespace llama {

// What the scheduler knows of a sequence. The engine's Sequence holds one.
struct Schedulable {
  // Set by the engine, before Add(): whose request it is, and its size in tokens, prompt and reply,
  // which counts against the caller's share.
  std::string caller;
  int64_t cost = 0;
  std::string cache_salt;
  // The ids, at least `length` of them. Null: the prefix cache does not know the sequence.
  const std::vector<TokenId>* tokens = nullptr;
  // Set by the engine at any time.
  int64_t length = 0;       // Tokens known: prompt and reply so far.
  int64_t next_logits = 0;  // First position whose logits are still wanted. Below length.
  bool paused = false;      // Its reader does not keep up.

  // Set by the scheduler.
  int64_t computed = 0;  // Tokens whose keys and values are in `blocks`. At most length.
  int64_t cached = 0;    // Of these, taken from the prefix cache, but not after it was preempted.
  std::vector<KvBlock> blocks;
  bool running = false;
  bool preempted = false;  // Has run, and waits to run again.
  int64_t arrival = 0;     // Counts up in the order of Add().
  int64_t turn = 0;        // Of its prompt: the lower, the earlier it gets its part of a batch.
  double start_tag = 0;    // The lower, the earlier its turn.
  PrefixChain chain;       // Of the first `chained` blocks.
  int64_t chained = 0;
};

// A stretch of a sequence to compute in the next batch: tokens [begin, begin + count).
struct Slice {
  Schedulable* sequence = nullptr;
  int64_t begin = 0;
  int64_t count = 0;
};

// How many tokens of prompts a batch may hold, whatever max_batch_tokens leaves.
struct PrefillBudget {
  int64_t beside_decodes = std::numeric_limits<int64_t>::max();
  int64_t alone = std::numeric_limits<int64_t>::max();  // At least 1.
};

struct SchedulerOptions {
  int64_t max_running = 32;
  int64_t max_batch_tokens = 512;
  int64_t max_batch_logits = 64;  // At least max_running.
  int64_t blocks = 0;             // Of the KV cache.
};

// Decides what the next batch computes, and who uses the blocks of the KV cache: the running
// sequences' next tokens first, then prompts in chunks, in turn, up to max_batch_tokens. When the
// blocks run out a paused sequence, or else the one that came last, gives its blocks up and is
// computed again later; a paused one also gives its place to one that waits. So of the running
// sequences that are not paused the one that came first always gets on.
//
// Full blocks go to the prefix cache, and a sequence whose next tokens are there takes them instead
// of computing them, up to the first position whose logits are wanted.
//
// Those that wait begin in the order of weighted fair queueing (Demers et al., SIGCOMM 1989), the
// callers having equal shares of tokens: a caller's second request has its turn after the first
// ones of others, however many came before them, and none waits for ever. Those that were preempted
// go before all that have not begun.
//
// Pure bookkeeping: no clock, no threads. Used by one thread at a time.
class Scheduler {
 public:
  explicit Scheduler(const SchedulerOptions& options);

  // Queues a sequence. It must stay alive until Remove(). REQUIRES: it will never need more blocks
  // than there are.
  void Add(Schedulable* sequence);
  // Forgets a sequence, wherever it is; its blocks are free, or the prefix cache's, at once.
  void Remove(Schedulable* sequence);

  // The next batch: slices of different sequences, each with the blocks that it needs. A slice
  // never goes beyond what its sequence's `length` says. It holds at most
  // `prefill` tokens of prompts. Empty only if all sequences are paused.
  std::vector<Slice> Plan(const PrefillBudget& prefill = {});
  // A slice of the last plan has been computed.
  void Advance(const Slice& slice);

  // Running sequences that need one token only, and will be in the next batch.
  int64_t decodes() const;
  const BlockPool& pool() const { return pool_; }
  // Blocks that no sequence uses; the prefix cache holds some of them.
  int64_t free_blocks() const { return pool_.available(); }
  int64_t running() const { return static_cast<int64_t>(running_.size()); }
  int64_t waiting() const { return static_cast<int64_t>(waiting_.size()); }
  // How often a sequence gave its blocks up.
  int64_t preemptions() const { return preemptions_; }
  // How many sequences have their turn before this one; 0 if it runs. Paused ones have none.
  int64_t PositionOf(const Schedulable* sequence) const;

  // The blocks that `tokens` tokens need.
  static int64_t BlocksFor(int64_t tokens);
  // Whether, of two that wait, `a` begins first.
  static bool HasTurnBefore(const Schedulable* a, const Schedulable* b);

 private:
  struct Caller {
    double next_tag = 0;  // Of its next request, if it has been busy since the last.
    int64_t sequences = 0;
  };

  // Moves sequences from waiting to running while there is a place, and room for what is known of
  // them: less would be computed in vain.
  void Admit();
  // Whether there is room for it; takes from the prefix cache what is there.
  bool TakeRoom(Schedulable* sequence);
  void Begin(Schedulable* sequence);
  // Takes what comes next of `sequence` from the prefix cache.
  void TakeCached(Schedulable* sequence);
  // Makes `sequence` own the blocks of its first `tokens` tokens, at the cost of victims. False if
  // that is not enough.
  bool Grow(Schedulable* sequence, int64_t tokens, const std::vector<Slice>& batch);
  // Who gives its blocks up for `sequence`; null if nobody does.
  Schedulable* FindVictim(const Schedulable* sequence, const std::vector<Slice>& batch) const;
  void Preempt(Schedulable* sequence);
  void ReleaseBlocks(Schedulable* sequence);
  void InsertWaiting(Schedulable* sequence);

  const SchedulerOptions options_;
  BlockPool pool_;
  std::deque<Schedulable*> waiting_;                  // In the order of their turns.
  std::vector<Schedulable*> running_;                 // In the order in which they came.
  absl::flat_hash_map<std::string, Caller> callers_;  // Those that have sequences here.
  double now_tag_ = 0;  // How many tokens each caller that was always busy has had begun for it.
  int64_t arrivals_ = 0;
  int64_t turns_ = 0;
  int64_t preemptions_ = 0;
};

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_ENGINE_SCHEDULER_H_
