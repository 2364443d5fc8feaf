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

bool Contains(const std::vector<Slice>& batch, const Schedulable* sequence) {
  return std::any_of(batch.begin(), batch.end(),
                     [sequence](const Slice& slice) { return slice.sequence == sequence; });
}

}  // namespace

Scheduler::Scheduler(const SchedulerOptions& options) : options_(options) {
  // Low numbers on top: the memory that is used stays together.
  for (int64_t block = options.blocks; block-- > 0;) free_.push_back(static_cast<KvBlock>(block));
}

void Scheduler::Add(Schedulable* sequence) {
  sequence->arrival = arrivals_++;
  waiting_.push_back(sequence);
}

void Scheduler::Remove(Schedulable* sequence) {
  FreeBlocks(sequence);
  std::erase(waiting_, sequence);
  std::erase(running_, sequence);
  sequence->running = false;
}

void Scheduler::Admit() {
  while (true) {
    const auto next = std::find_if(waiting_.begin(), waiting_.end(), NotPaused);
    if (next == waiting_.end()) return;
    int64_t room = free_blocks();
    for (const Schedulable* const sequence : running_) {
      room -= std::max<int64_t>(0, BlocksFor(sequence->length) - Owned(*sequence));
    }
    if (running() < options_.max_running &&
        (running_.empty() || room >= BlocksFor((*next)->length))) {
      Schedulable* const sequence = *next;
      waiting_.erase(next);
      sequence->running = true;
      running_.insert(std::upper_bound(running_.begin(), running_.end(), sequence, CameBefore),
                      sequence);
      continue;
    }
    const auto paused = std::find_if_not(running_.rbegin(), running_.rend(), NotPaused);
    if (paused == running_.rend()) return;
    Preempt(*paused);
  }
}

std::vector<Slice> Scheduler::Plan() {
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
      const int64_t blocks = Owned(*sequence) + free_blocks();
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
    if (sequence->running && !sequence->paused && IsDecode(*sequence)) add(sequence, 1);
  }
  for (size_t i = 0; i < order.size(); ++i) {
    Schedulable* const sequence = order[(turn_ + i) % order.size()];
    if (!sequence->running || sequence->paused || IsDecode(*sequence)) continue;
    add(sequence, sequence->length - sequence->computed);
  }
  if (!order.empty()) turn_ = (turn_ + 1) % order.size();
  return batch;
}

int64_t Scheduler::PositionOf(const Schedulable* sequence) const {
  const auto found = std::find(waiting_.begin(), waiting_.end(), sequence);
  return found == waiting_.end() ? 0 : found - waiting_.begin();
}

int64_t Scheduler::BlocksFor(int64_t tokens) {
  return (tokens + kKvBlockTokens - 1) / kKvBlockTokens;
}

bool Scheduler::Grow(Schedulable* sequence, int64_t tokens, const std::vector<Slice>& batch) {
  const int64_t missing = BlocksFor(tokens) - Owned(*sequence);
  while (free_blocks() < missing) {
    Schedulable* const victim = FindVictim(sequence, batch);
    if (victim == nullptr) return false;
    Preempt(victim);
  }
  for (int64_t i = 0; i < missing; ++i) {
    sequence->blocks.push_back(free_.back());
    free_.pop_back();
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
  FreeBlocks(sequence);
  std::erase(running_, sequence);
  sequence->running = false;
  sequence->computed = 0;
  waiting_.insert(std::upper_bound(waiting_.begin(), waiting_.end(), sequence, CameBefore),
                  sequence);
}

void Scheduler::FreeBlocks(Schedulable* sequence) {
  free_.insert(free_.end(), sequence->blocks.rbegin(), sequence->blocks.rend());
  sequence->blocks.clear();
}

}  // namespace llama
