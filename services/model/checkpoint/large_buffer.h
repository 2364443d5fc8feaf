#ifndef LLAMA_SERVICES_MODEL_CHECKPOINT_LARGE_BUFFER_H_
#define LLAMA_SERVICES_MODEL_CHECKPOINT_LARGE_BUFFER_H_

#include <cstddef>
#include <memory>

namespace llama {

// Memory for weights, zeroed, in huge pages as far as the system gives them: the processor then
// translates 512 times fewer addresses. Begins at a huge page's boundary. Pages are used when first
// written.
class LargeBuffer {
 public:
  // Null if there is no address space, or not that much memory where the system says so beforehand.
  static std::unique_ptr<LargeBuffer> Create(size_t bytes);
  ~LargeBuffer();
  LargeBuffer(const LargeBuffer&) = delete;
  LargeBuffer& operator=(const LargeBuffer&) = delete;

  std::byte* data() const { return data_; }

 private:
  LargeBuffer(void* mapping, size_t mapped_bytes);

  void* const mapping_;
  const size_t mapped_bytes_;
  std::byte* data_ = nullptr;
};

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_CHECKPOINT_LARGE_BUFFER_H_
