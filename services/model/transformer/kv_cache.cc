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
  const int64_t block_bytes = BlockBytes(config, type);
  int64_t bytes = 0;
  if (__builtin_mul_overflow(block_bytes, blocks, &bytes)) {
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
  cache->block_bytes_ = static_cast<size_t>(block_bytes);
  cache->head_bytes_ = static_cast<size_t>(kKvBlockTokens * config.head_dim) * SizeOf(type);
  cache->n_kv_heads_ = config.n_kv_heads;
  cache->memory_ = static_cast<std::byte*>(memory);
  return cache;
}

KvCache::~KvCache() {
  if (memory_ != nullptr) munmap(memory_, static_cast<size_t>(blocks_) * block_bytes_);
}

void* KvCache::Keys(KvBlock block, int64_t layer, int64_t kv_head) {
  return memory_ + block * block_bytes_ +
         static_cast<size_t>(2 * layer * n_kv_heads_ + kv_head) * head_bytes_;
}

void* KvCache::Values(KvBlock block, int64_t layer, int64_t kv_head) {
  return memory_ + block * block_bytes_ +
         static_cast<size_t>((2 * layer + 1) * n_kv_heads_ + kv_head) * head_bytes_;
}

}  // namespace llama
