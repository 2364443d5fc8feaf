#include "services/model/engine/block_pool.h"

#include <algorithm>

#include "absl/hash/hash.h"

namespace llama {

PrefixChain StartChain(absl::string_view salt) {
  return {.salt = std::string(salt), .hash = absl::HashOf(salt)};
}

uint64_t HashBlock(uint64_t chain_hash, BlockTokens tokens) {
  return absl::HashOf(chain_hash, absl::string_view(reinterpret_cast<const char*>(tokens.data()),
                                                    tokens.size_bytes()));
}

BlockPool::BlockPool(int64_t blocks, Hash hash)
    : hash_(hash), blocks_(static_cast<size_t>(blocks)), free_(blocks) {}

int64_t BlockPool::available() const {
  MutexLock lock(&mutex_);
  return free_.count() + static_cast<int64_t>(unused_.size());
}

int64_t BlockPool::cached() const {
  MutexLock lock(&mutex_);
  return static_cast<int64_t>(unused_.size());
}

KvBlock BlockPool::Take(std::optional<KvBlock> previous) {
  MutexLock lock(&mutex_);
  const KvBlock block = free_.count() > 0 ? free_.Take(previous) : Evict();
  blocks_[block].users = 1;
  return block;
}

// Users release a prefix from its end, so that the least recently used block is one that no cached
// block follows.
KvBlock BlockPool::Evict() {
  const KvBlock oldest = unused_.begin()->second;
  unused_.erase(unused_.begin());
  by_hash_.erase(blocks_[oldest].hash);
  blocks_[oldest] = {};
  return oldest;
}

void BlockPool::Release(std::span<const KvBlock> blocks) {
  MutexLock lock(&mutex_);
  for (size_t i = blocks.size(); i-- > 0;) {
    const KvBlock number = blocks[i];
    Block& block = blocks_[number];
    if (--block.users > 0) continue;
    if (block.entry == 0) {
      free_.Add(number);
      continue;
    }
    block.unused_since = ++releases_;
    unused_.emplace(block.unused_since, number);
  }
}

std::optional<KvBlock> BlockPool::Find(PrefixChain& chain, BlockTokens tokens) {
  MutexLock lock(&mutex_);
  const uint64_t hash = hash_(chain.hash, tokens);
  const std::optional<KvBlock> found = Look(chain, hash, tokens);
  if (!found.has_value()) return found;
  Use(*found);
  chain.hash = hash;
  chain.last = blocks_[*found].entry;
  return found;
}

KvBlock BlockPool::Publish(PrefixChain& chain, KvBlock block, BlockTokens tokens) {
  MutexLock lock(&mutex_);
  const uint64_t hash = hash_(chain.hash, tokens);
  const std::optional<KvBlock> found = Look(chain, hash, tokens);
  if (found.has_value()) {
    Use(*found);
    blocks_[block].users = 0;
    free_.Add(block);
  } else if (chain.last != PrefixChain::kNotCached && by_hash_.emplace(hash, block).second) {
    Block& entry = blocks_[block];
    entry.entry = ++entries_;
    entry.before = chain.last;
    entry.hash = hash;
    std::copy(tokens.begin(), tokens.end(), entry.tokens.begin());
    if (chain.last == 0) entry.salt = chain.salt;
  } else {
    // Other contents have the same hash, and stay: what follows cannot be found either.
    chain.last = PrefixChain::kNotCached;
    return block;
  }
  const KvBlock kept = found.value_or(block);
  chain.hash = hash;
  chain.last = blocks_[kept].entry;
  return kept;
}

int64_t BlockPool::CountCached(absl::string_view salt, std::span<const TokenId> tokens) const {
  PrefixChain chain = StartChain(salt);
  MutexLock lock(&mutex_);
  constexpr size_t kTokens = static_cast<size_t>(kKvBlockTokens);
  size_t count = 0;
  for (; count + kTokens <= tokens.size(); count += kTokens) {
    const BlockTokens next = tokens.subspan(count).first<kTokens>();
    const uint64_t hash = hash_(chain.hash, next);
    const std::optional<KvBlock> found = Look(chain, hash, next);
    if (!found.has_value()) break;
    chain.hash = hash;
    chain.last = blocks_[*found].entry;
  }
  return static_cast<int64_t>(count);
}

bool BlockPool::Holds(const Block& block, const PrefixChain& chain, BlockTokens tokens) const {
  return block.before == chain.last &&
         std::equal(tokens.begin(), tokens.end(), block.tokens.begin()) &&
         (chain.last != 0 || block.salt == chain.salt);
}

std::optional<KvBlock> BlockPool::Look(const PrefixChain& chain, uint64_t hash,
                                       BlockTokens tokens) const {
  const auto found = by_hash_.find(hash);
  if (found == by_hash_.end() || !Holds(blocks_[found->second], chain, tokens)) return std::nullopt;
  return found->second;
}

void BlockPool::Use(KvBlock block) {
  if (blocks_[block].users++ == 0) unused_.erase(blocks_[block].unused_since);
}

}  // namespace llama
