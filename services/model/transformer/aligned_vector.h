#ifndef LLAMA_SERVICES_MODEL_TRANSFORMER_ALIGNED_VECTOR_H_
#define LLAMA_SERVICES_MODEL_TRANSFORMER_ALIGNED_VECTOR_H_

#include <cstddef>
#include <new>
#include <vector>

namespace llama {

// Memory that begins at a cache line: a vector register's load that crosses two lines counts twice.
template <typename T>
struct CacheLineAllocator {
  using value_type = T;
  static constexpr std::align_val_t kAlignment{64};

  CacheLineAllocator() = default;
  template <typename U>
  CacheLineAllocator(const CacheLineAllocator<U>&) {}

  T* allocate(size_t count) {
    return static_cast<T*>(::operator new(count * sizeof(T), kAlignment));
  }
  void deallocate(T* memory, size_t) { ::operator delete(memory, kAlignment); }
  bool operator==(const CacheLineAllocator&) const { return true; }
};

template <typename T>
using AlignedVector = std::vector<T, CacheLineAllocator<T>>;

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_TRANSFORMER_ALIGNED_VECTOR_H_
