#ifndef LLAMA_SERVICES_MODEL_ENGINE_FREE_BLOCKS_H_
#define LLAMA_SERVICES_MODEL_ENGINE_FREE_BLOCKS_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "services/model/transformer/kv_cache.h"

namespace llama {

// Blocks of the KV cache that nobody uses. Gives each sequence blocks whose numbers follow one
// another as far as it can, for these are read the fastest (KvCache): a sequence begins where the
// most blocks are free, so that its next ones will be. Not thread-safe.
class FreeBlocks {
 public:
  // Of the blocks [0, blocks), all.
  explicit FreeBlocks(int64_t blocks);

  int64_t count() const { return count_; }
  // REQUIRES: the block is not free.
  void Add(KvBlock block);
  // The block after `previous` if it is free. Else the first free one of the run of kRun blocks
  // that has the most, the lowest of these: the memory that is used stays together.
  // REQUIRES: count() > 0.
  KvBlock Take(std::optional<KvBlock> previous);

 private:
  using Run = uint16_t;  // A bit for each block that is free, the lowest for the first.
  static constexpr size_t kRun = 16;

  bool Contains(size_t block) const;

  std::vector<Run> runs_;
  int64_t count_ = 0;
};

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_ENGINE_FREE_BLOCKS_H_
