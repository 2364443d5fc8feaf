#include "services/model/transformer/kv_cache.h"

#include <sys/mman.h>

#include <cerrno>

#include "absl/strings/str_cat.h"

namespace llama {

int64_t KvCache::BlockBytes(const ModelConfig& config, DataType type) {
  return 2 * config.n_layers * kKvBlockTokens * config.kv_dim() *
         static_cast<int64_t>(SizeOf(type));
}

absl::StatusOr<std::unique_ptr<KvCache>> KvCache::Create(const ModelConfig& config, DataType type,
                                                         int64_t blocks) {
  // The last extent is reserved whole; what no block uses of it is never written.
  const int64_t extents = (blocks - 1) / kKvExtentBlocks + 1;
  int64_t extent_bytes = 0;
  int64_t bytes = 0;
  if (__builtin_mul_overflow(BlockBytes(config, type), kKvExtentBlocks, &extent_bytes) ||
      __builtin_mul_overflow(extent_bytes, extents, &bytes)) {
    return absl::ResourceExhaustedError("KV cache: its size overflows");
  }
  void* const memory = mmap(nullptr, static_cast<size_t>(bytes), PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    return absl::ErrnoToStatus(errno,
                               absl::StrCat("cannot reserve ", bytes, " bytes for the KV cache"));
  }
  auto cache = std::unique_ptr<KvCache>(new KvCache());
  cache->type_ = type;
  cache->blocks_ = blocks;
  cache->memory_bytes_ = static_cast<size_t>(bytes);
  cache->extent_bytes_ = static_cast<size_t>(extent_bytes);
  cache->head_bytes_ = static_cast<size_t>(kKvBlockTokens * config.head_dim) * SizeOf(type);
  cache->n_kv_heads_ = config.n_kv_heads;
  cache->memory_ = static_cast<std::byte*>(memory);
  return cache;
}

KvCache::~KvCache() {
  if (memory_ != nullptr) munmap(memory_, memory_bytes_);
}

void* KvCache::Head(KvBlock block, int64_t head) const {
  constexpr auto kBlocks = static_cast<size_t>(kKvExtentBlocks);
  return memory_ + block / kBlocks * extent_bytes_ +
         (static_cast<size_t>(head) * kBlocks + block % kBlocks) * head_bytes_;
}

void* KvCache::Keys(KvBlock block, int64_t layer, int64_t kv_head) {
  return Head(block, 2 * layer * n_kv_heads_ + kv_head);
}

void* KvCache::Values(KvBlock block, int64_t layer, int64_t kv_head) {
  return Head(block, (2 * layer + 1) * n_kv_heads_ + kv_head);
}

}  // namespace llama
