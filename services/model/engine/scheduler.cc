#include "services/model/engine/scheduler.h"

#include <algorithm>

namespace llama {
namespace {

bool NotPaused(const Schedulable* sequence) { return !sequence->paused; }

bool CameBefore(const Schedulable* a, const Schedulable* b) { return a->arrival < b->arrival; }

int64_t Owned(const Schedulable& sequence) { return static_cast<int64_t>(sequence.blocks.size()); }

bool IsDecode(const Schedulable& sequence) { return sequence.length - sequence.computed == 1; }

int64_t LogitsOf(const Slice& slice) {
  const int64_t end = slice.begin + slice.count;
  return std::max<int64_t>(0, end - std::max(slice.begin, slice.sequence->next_logits));
}

BlockTokens TokensOf(const Schedulable& sequence, int64_t block) {
  constexpr auto kTokens = static_cast<size_t>(kKvBlockTokens);
  return std::span(*sequence.tokens).subspan(static_cast<size_t>(block) * kTokens).first<kTokens>();
}

bool Contains(const std::vector<Slice>& batch, const Schedulable* sequence) {
  return std::any_of(batch.begin(), batch.end(),
                     [sequence](const Slice& slice) { return slice.sequence == sequence; });
}

}  // namespace

Scheduler::Scheduler(const SchedulerOptions& options) : options_(options), pool_(options.blocks) {}

void Scheduler::Add(Schedulable* sequence) {
  Caller& caller = callers_[sequence->caller];
  ++caller.sequences;
  sequence->start_tag = std::max(now_tag_, caller.next_tag);
  caller.next_tag = sequence->start_tag + static_cast<double>(sequence->cost);
  sequence->arrival = arrivals_++;
  sequence->chain = StartChain(sequence->cache_salt);
  InsertWaiting(sequence);
}

void Scheduler::Remove(Schedulable* sequence) {
  ReleaseBlocks(sequence);
  std::erase(waiting_, sequence);
  std::erase(running_, sequence);
  sequence->running = false;
  const auto caller = callers_.find(sequence->caller);
  if (--caller->second.sequences == 0) callers_.erase(caller);
}

void Scheduler::Admit() {
  while (true) {
    const auto next = std::find_if(waiting_.begin(), waiting_.end(), NotPaused);
    if (next == waiting_.end()) return;
    if (running() < options_.max_running && TakeRoom(*next)) {
      Schedulable* const sequence = *next;
      waiting_.erase(next);
      Begin(sequence);
      continue;
    }
    const auto paused = std::find_if_not(running_.rbegin(), running_.rend(), NotPaused);
    if (paused == running_.rend()) return;
    Preempt(*paused);
  }
}

bool Scheduler::TakeRoom(Schedulable* sequence) {
  TakeCached(sequence);
  if (running_.empty()) return true;
  int64_t room = pool_.available();
  for (const Schedulable* const other : running_) {
    room -= std::max<int64_t>(0, BlocksFor(other->length) - Owned(*other));
  }
  if (room >= BlocksFor(sequence->length) - Owned(*sequence)) return true;
  ReleaseBlocks(sequence);
  return false;
}

void Scheduler::Begin(Schedulable* sequence) {
  if (!sequence->preempted) {
    sequence->cached = sequence->computed;
    now_tag_ = std::max(now_tag_, sequence->start_tag) +
               static_cast<double>(sequence->cost) / static_cast<double>(callers_.size());
  }
  sequence->running = true;
  sequence->turn = turns_++;
  running_.insert(std::upper_bound(running_.begin(), running_.end(), sequence, CameBefore),
                  sequence);
}

void Scheduler::TakeCached(Schedulable* sequence) {
  if (sequence->tokens == nullptr) return;
  while ((sequence->chained + 1) * kKvBlockTokens <= sequence->next_logits) {
    const std::optional<KvBlock> block =
        pool_.Find(sequence->chain, TokensOf(*sequence, sequence->chained));
    if (!block.has_value()) return;
    if (Owned(*sequence) > sequence->chained) {  // It has begun to compute it itself.
      pool_.Release(std::span(&sequence->blocks.back(), 1));
      sequence->blocks.pop_back();
    }
    sequence->blocks.push_back(*block);
    ++sequence->chained;
    sequence->computed = sequence->chained * kKvBlockTokens;
  }
}

std::vector<Slice> Scheduler::Plan(const PrefillBudget& prefill) {
  Admit();
  std::vector<Slice> batch;
  int64_t tokens = options_.max_batch_tokens;
  int64_t logits = options_.max_batch_logits;
  // As much of `most` tokens as the budgets allow.
  const auto add = [&](Schedulable* sequence, int64_t most) {
    const int64_t until_logits = std::max<int64_t>(0, sequence->next_logits - sequence->computed);
    int64_t count = std::min({most, tokens, until_logits + logits});
    if (count > 0 && !Grow(sequence, sequence->computed + count, batch)) {
      // As far as the blocks that it has or can have now.
      const int64_t blocks = Owned(*sequence) + pool_.available();
      count = std::min(count, blocks * kKvBlockTokens - sequence->computed);
      if (count > 0) Grow(sequence, sequence->computed + count, batch);
    }
    if (count <= 0) return;
    batch.push_back({sequence, sequence->computed, count});
    tokens -= count;
    logits -= LogitsOf(batch.back());
  };

  // By value: growing may preempt, which takes from running_.
  const std::vector<Schedulable*> order = running_;
  for (Schedulable* const sequence : order) {
    if (sequence->paused || IsDecode(*sequence)) continue;
    const int64_t before = sequence->computed;
    TakeCached(sequence);  // Another one may have computed it by now.
    if (!sequence->preempted) sequence->cached += sequence->computed - before;
  }
  for (Schedulable* const sequence : order) {
    if (sequence->running && !sequence->paused && IsDecode(*sequence)) add(sequence, 1);
  }
  tokens = std::min(tokens, batch.empty() ? prefill.alone : prefill.beside_decodes);
  std::vector<Schedulable*> prompts;
  for (Schedulable* const sequence : order) {
    if (sequence->running && !sequence->paused && !IsDecode(*sequence)) prompts.push_back(sequence);
  }
  std::sort(prompts.begin(), prompts.end(),
            [](const Schedulable* a, const Schedulable* b) { return a->turn < b->turn; });
  for (Schedulable* const sequence : prompts) {
    if (!sequence->running) continue;
    const size_t slices = batch.size();
    add(sequence, sequence->length - sequence->computed);
    // Who comes first may take all there is: the next time others do.
    if (sequence == prompts.front() && batch.size() > slices) sequence->turn = turns_++;
  }
  return batch;
}

void Scheduler::Advance(const Slice& slice) {
  Schedulable& sequence = *slice.sequence;
  sequence.computed += slice.count;
  if (sequence.tokens == nullptr) return;
  for (; sequence.chained < sequence.computed / kKvBlockTokens; ++sequence.chained) {
    KvBlock& block = sequence.blocks[static_cast<size_t>(sequence.chained)];
    block = pool_.Publish(sequence.chain, block, TokensOf(sequence, sequence.chained));
  }
}

int64_t Scheduler::decodes() const {
  return std::count_if(running_.begin(), running_.end(), [](const Schedulable* sequence) {
    return !sequence->paused && IsDecode(*sequence);
  });
}

int64_t Scheduler::PositionOf(const Schedulable* sequence) const {
  const auto found = std::find(waiting_.begin(), waiting_.end(), sequence);
  return found == waiting_.end() ? 0 : std::count_if(waiting_.begin(), found, NotPaused);
}

bool Scheduler::HasTurnBefore(const Schedulable* a, const Schedulable* b) {
  if (a->preempted != b->preempted) return a->preempted;
  if (!a->preempted && a->start_tag != b->start_tag) return a->start_tag < b->start_tag;
  return CameBefore(a, b);
}

int64_t Scheduler::BlocksFor(int64_t tokens) {
  return (tokens + kKvBlockTokens - 1) / kKvBlockTokens;
}

bool Scheduler::Grow(Schedulable* sequence, int64_t tokens, const std::vector<Slice>& batch) {
  const int64_t missing = BlocksFor(tokens) - Owned(*sequence);
  while (pool_.available() < missing) {
    Schedulable* const victim = FindVictim(sequence, batch);
    if (victim == nullptr) return false;
    Preempt(victim);
  }
  for (int64_t i = 0; i < missing; ++i) {
    std::vector<KvBlock>& blocks = sequence->blocks;
    blocks.push_back(pool_.Take(blocks.empty() ? std::nullopt : std::optional(blocks.back())));
  }
  return true;
}

Schedulable* Scheduler::FindVictim(const Schedulable* sequence,
                                   const std::vector<Slice>& batch) const {
  for (size_t i = running_.size(); i-- > 0;) {
    if (running_[i]->paused && !running_[i]->blocks.empty()) return running_[i];
  }
  for (size_t i = running_.size(); i-- > 0 && running_[i] != sequence;) {
    if (!running_[i]->blocks.empty() && !Contains(batch, running_[i])) return running_[i];
  }
  return nullptr;
}

void Scheduler::Preempt(Schedulable* sequence) {
  if (!sequence->blocks.empty()) ++preemptions_;
  ReleaseBlocks(sequence);
  std::erase(running_, sequence);
  sequence->running = false;
  sequence->preempted = true;
  InsertWaiting(sequence);
}

void Scheduler::ReleaseBlocks(Schedulable* sequence) {
  pool_.Release(sequence->blocks);
  sequence->blocks.clear();
  sequence->computed = 0;
  sequence->chain = StartChain(sequence->cache_salt);
  sequence->chained = 0;
}

void Scheduler::InsertWaiting(Schedulable* sequence) {
  waiting_.insert(std::upper_bound(waiting_.begin(), waiting_.end(), sequence, HasTurnBefore),
                  sequence);
}

}  // namespace llama
