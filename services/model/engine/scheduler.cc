#include "services/model/engine/scheduler.h"

#include <algorithm>

namespace llama {
namespace {

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

void Scheduler::Add(Schedulable* sequence) { waiting_.push_back(sequence); }

void Scheduler::Remove(Schedulable* sequence) {
  FreeBlocks(sequence);
  std::erase(waiting_, sequence);
  std::erase(running_, sequence);
  sequence->running = false;
}

std::vector<Slice> Scheduler::Plan() {
  while (!waiting_.empty() && running() < options_.max_running && !free_.empty()) {
    running_.push_back(waiting_.front());
    running_.back()->running = true;
    waiting_.pop_front();
  }
  std::vector<Slice> batch;
  int64_t tokens = options_.max_batch_tokens;
  int64_t logits = options_.max_batch_logits;
  const auto add = [&](Schedulable* sequence, int64_t count) {
    const Slice slice = {sequence, sequence->computed, count};
    batch.push_back(slice);
    tokens -= count;
    logits -= LogitsOf(slice);
  };

  // By value: growing may preempt, which takes from running_.
  const std::vector<Schedulable*> order = running_;
  for (Schedulable* const sequence : order) {
    if (!sequence->running || sequence->paused || !IsDecode(*sequence) || tokens == 0) continue;
    if (Grow(sequence, sequence->length, batch)) {
      add(sequence, 1);
    } else {
      Preempt(sequence);
    }
  }
  for (size_t i = 0; i < order.size() && tokens > 0; ++i) {
    Schedulable* const sequence = order[(turn_ + i) % order.size()];
    if (!sequence->running || sequence->paused || sequence->computed == sequence->length ||
        Contains(batch, sequence)) {
      continue;
    }
    const int64_t until_logits = std::max<int64_t>(0, sequence->next_logits - sequence->computed);
    int64_t count =
        std::min({sequence->length - sequence->computed, tokens, until_logits + logits});
    if (count > 0 && !Grow(sequence, sequence->computed + count, batch)) {
      // As far as the blocks that it has or can have now.
      const auto owned = static_cast<int64_t>(sequence->blocks.size()) + free_blocks();
      count = std::min(count, owned * kKvBlockTokens - sequence->computed);
      if (count > 0) Grow(sequence, sequence->computed + count, batch);
    }
    if (count > 0) add(sequence, count);
  }
  if (!order.empty()) turn_ = (turn_ + 1) % order.size();
  // Nothing fits, since prompts that are partly computed hold all blocks: the last one gives way.
  if (batch.empty() && free_.empty() && running() > 1) {
    Preempt(running_.back());
    return Plan();
  }
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
  const int64_t missing = BlocksFor(tokens) - static_cast<int64_t>(sequence->blocks.size());
  while (free_blocks() < missing) {
    // running_ is in order of arrival, so the last one is the youngest.
    const auto victim =
        std::find_if(running_.rbegin(), running_.rend(), [&](const Schedulable* candidate) {
          return candidate == sequence ||
                 (!candidate->blocks.empty() && !Contains(batch, candidate));
        });
    if (victim == running_.rend() || *victim == sequence) return false;
    Preempt(*victim);
  }
  for (int64_t i = 0; i < missing; ++i) {
    sequence->blocks.push_back(free_.back());
    free_.pop_back();
  }
  return true;
}

void Scheduler::Preempt(Schedulable* sequence) {
  FreeBlocks(sequence);
  std::erase(running_, sequence);
  sequence->running = false;
  sequence->computed = 0;
  waiting_.push_front(sequence);
}

void Scheduler::FreeBlocks(Schedulable* sequence) {
  free_.insert(free_.end(), sequence->blocks.rbegin(), sequence->blocks.rend());
  sequence->blocks.clear();
}

}  // namespace llama
