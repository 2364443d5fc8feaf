#include "common/random_bits.h"

#include <sys/random.h>

#include <random>

namespace llama {

uint64_t RandomBits() {
  uint64_t bits = 0;
  if (getrandom(&bits, sizeof(bits), 0) == sizeof(bits)) return bits;
  std::random_device device;  // A kernel without the system call.
  return uint64_t{device()} << 32 | device();
}

}  // namespace llama
