#ifndef LLAMA_SERVICES_MODEL_CHECKPOINT_BYTES_H_
#define LLAMA_SERVICES_MODEL_CHECKPOINT_BYTES_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "absl/strings/string_view.h"

// Little-endian numbers and text in mapped bytes.
namespace llama {

static_assert(std::endian::native == std::endian::little, "files are read as they lie in memory");

// REQUIRES: at + sizeof(T) <= bytes.size().
template <typename T>
T ReadNumber(std::span<const std::byte> bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

inline absl::string_view AsText(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_CHECKPOINT_BYTES_H_
