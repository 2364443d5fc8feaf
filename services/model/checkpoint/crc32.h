#ifndef LLAMA_SERVICES_MODEL_CHECKPOINT_CRC32_H_
#define LLAMA_SERVICES_MODEL_CHECKPOINT_CRC32_H_

#include <cstddef>
#include <cstdint>
#include <span>

namespace llama {

// One way to compute the CRC-32 of zip files (ISO 3309). All give the same.
struct Crc32Method {
  const char* name;  // "zlib", "pclmul", "vpclmul"
  uint32_t (*compute)(std::span<const std::byte> bytes, uint32_t crc);
};

// What this processor can run: zlib's first, the fastest last.
std::span<const Crc32Method> SupportedCrc32();

// Of the bytes after others whose CRC-32 is `crc`. With the fastest method: about as fast as memory
// is read.
uint32_t Crc32(std::span<const std::byte> bytes, uint32_t crc = 0);

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_CHECKPOINT_CRC32_H_
