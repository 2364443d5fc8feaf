#include "services/model/checkpoint/large_buffer.h"

#include <sys/mman.h>

namespace llama {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;

}  // namespace

std::unique_ptr<LargeBuffer> LargeBuffer::Create(size_t bytes) {
  size_t mapped = 0;
  if (__builtin_add_overflow(bytes, 2 * kHugePage - 1, &mapped)) return nullptr;
  mapped = mapped / kHugePage * kHugePage;
  void* const mapping =
      mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED) return nullptr;
  madvise(mapping, mapped, MADV_HUGEPAGE);  // A hint.
  return std::unique_ptr<LargeBuffer>(new LargeBuffer(mapping, mapped));
}

LargeBuffer::LargeBuffer(void* mapping, size_t mapped_bytes)
    : mapping_(mapping), mapped_bytes_(mapped_bytes) {
  size_t space = mapped_bytes;
  data_ = static_cast<std::byte*>(std::align(kHugePage, mapped_bytes - kHugePage, mapping, space));
}

LargeBuffer::~LargeBuffer() { munmap(mapping_, mapped_bytes_); }

}  // namespace llama
