#ifndef LLAMA_SERVICES_MODEL_ENGINE_BLOCK_POOL_H_
#define LLAMA_SERVICES_MODEL_ENGINE_BLOCK_POOL_H_

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "common/mutex.h"
#include "services/model/engine/free_blocks.h"
#include "services/model/engine/request.h"
#include "services/model/transformer/kv_cache.h"

namespace llama {

// The tokens of a full block.
using BlockTokens = std::span<const TokenId, static_cast<size_t>(kKvBlockTokens)>;

// How far a sequence's full blocks are in the prefix cache: everything before the next block.
struct PrefixChain {
  std::string salt = {};  // Chains of different salts share nothing.
  uint64_t hash = 0;      // Over the salt and all tokens so far.
  int64_t last = 0;       // The last block's entry; 0 at the start, kNotCached if it has none.

  static constexpr int64_t kNotCached = -1;
};
// The chain before the first block.
PrefixChain StartChain(absl::string_view salt);
// The hash of a chain that goes on with a block of these tokens.
uint64_t HashBlock(uint64_t chain_hash, BlockTokens tokens);

// Who uses which block of the KV cache. A block is free, or used by one or more sequences, or used
// by none and kept for its contents: as prefix cache, to be taken, the least recently used first,
// when no block is free.
//
// A full block is found by the hash of all tokens up to its end, chained block by block as in vLLM
// (arXiv:2309.06180), and then compared: its own tokens, and that it follows the block that was
// found before it. So a hash that two contents share costs a miss, and never a wrong answer.
//
// Thread-safe, so that admission may ask what is cached while the engine computes.
class BlockPool {
 public:
  using Hash = uint64_t (*)(uint64_t chain_hash, BlockTokens tokens);
  explicit BlockPool(int64_t blocks, Hash hash = HashBlock);

  // Blocks that can be taken: the free ones, and the unused ones of the prefix cache.
  int64_t available() const;
  // Of these, the ones that hold a prefix.
  int64_t cached() const;

  // A block for one user, with contents of no meaning: where it can be, the one after `previous`,
  // the last that this user has. REQUIRES: available() > 0.
  KvBlock Take(std::optional<KvBlock> previous = std::nullopt);
  // Ends one use of each of a sequence's blocks, which are in the order of its tokens.
  void Release(std::span<const KvBlock> blocks);

  // The cached block that goes on after `chain` with these tokens, for one more user; the chain
  // then ends with it.
  std::optional<KvBlock> Find(PrefixChain& chain, BlockTokens tokens);
  // Makes the contents of a block that one sequence uses findable, and ends the chain with it.
  // Returns the block to use from now on: where the contents were there already, that is the other
  // one, and `block` is free.
  KvBlock Publish(PrefixChain& chain, KvBlock block, BlockTokens tokens);
  // How many of these tokens stand in cached blocks now, from the first on: a multiple of
  // kKvBlockTokens.
  int64_t CountCached(absl::string_view salt, std::span<const TokenId> tokens) const;

 private:
  struct Block {
    int64_t users = 0;
    // Of the prefix cache:
    int64_t entry = 0;   // Its number, never used twice; 0: not in the cache.
    int64_t before = 0;  // The entry of the block before it; 0: the first.
    uint64_t hash = 0;
    std::array<TokenId, static_cast<size_t>(kKvBlockTokens)> tokens = {};
    std::string salt = {};  // Of a first block.
    int64_t unused_since = 0;
  };

  bool Holds(const Block& block, const PrefixChain& chain, BlockTokens tokens) const;
  std::optional<KvBlock> Look(const PrefixChain& chain, uint64_t hash, BlockTokens tokens) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Use(KvBlock block) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  KvBlock Evict() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Hash hash_;
  mutable Mutex mutex_;
  std::vector<Block> blocks_ ABSL_GUARDED_BY(mutex_);
  FreeBlocks free_ ABSL_GUARDED_BY(mutex_);
  std::map<int64_t, KvBlock> unused_ ABSL_GUARDED_BY(mutex_);  // By unused_since.
  absl::flat_hash_map<uint64_t, KvBlock> by_hash_ ABSL_GUARDED_BY(mutex_);
  int64_t entries_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t releases_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_ENGINE_BLOCK_POOL_H_
