#ifndef LLAMA_SERVICES_MODEL_TRANSFORMER_KV_CACHE_H_
#define LLAMA_SERVICES_MODEL_TRANSFORMER_KV_CACHE_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "services/model/checkpoint/model_config.h"
#include "services/model/tensor/tensor.h"

namespace llama {

// Positions per block of the paged KV cache.
inline constexpr int64_t kKvBlockTokens = 16;

// A number in [0, KvCache::blocks()).
using KvBlock = uint32_t;

// Blocks whose numbers follow one another from a multiple of this on lie side by side, head by
// head. Attention reads one head of a sequence at a time: from blocks of successive numbers in one
// stream, which memory and its page tables serve several times faster than a block here and there.
inline constexpr int64_t kKvExtentBlocks = 64;

// The memory of the keys and values, in blocks of kKvBlockTokens positions of all layers. Who owns
// which block, and what it holds, is the engine's business. Pages are used when first written.
// Not thread-safe; different blocks are independent.
class KvCache {
 public:
  // Bytes of one block: 2 * n_layers * kKvBlockTokens * kv_dim * sizeof(type). `type`: kBf16, kF32.
  static int64_t BlockBytes(const ModelConfig& config, DataType type);
  // REQUIRES: blocks >= 1. Errors: RESOURCE_EXHAUSTED.
  static absl::StatusOr<std::unique_ptr<KvCache>> Create(const ModelConfig& config, DataType type,
                                                         int64_t blocks);
  ~KvCache();
  KvCache(const KvCache&) = delete;
  KvCache& operator=(const KvCache&) = delete;

  int64_t blocks() const { return blocks_; }
  DataType type() const { return type_; }

  // The keys (or values) of one layer, head and block: kKvBlockTokens * head_dim elements. Values
  // lie token by token, [kKvBlockTokens, head_dim]; keys as StoreKey() in attention.h puts them.
  void* Keys(KvBlock block, int64_t layer, int64_t kv_head);
  void* Values(KvBlock block, int64_t layer, int64_t kv_head);

 private:
  KvCache() = default;

  // The heads of a block are numbered layer by layer, keys before values.
  void* Head(KvBlock block, int64_t head) const;

  DataType type_ = DataType::kBf16;
  int64_t blocks_ = 0;
  size_t memory_bytes_ = 0;
  size_t extent_bytes_ = 0;
  size_t head_bytes_ = 0;  // Of one block: kKvBlockTokens * head_dim elements.
  int64_t n_kv_heads_ = 0;
  // [extents, n_layers, keys|values, n_kv_heads, kKvExtentBlocks, kKvBlockTokens * head_dim]
  std::byte* memory_ = nullptr;
};

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_TRANSFORMER_KV_CACHE_H_
