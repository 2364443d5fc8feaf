#ifndef LLAMA_COMMON_RANDOM_BITS_H_
#define LLAMA_COMMON_RANDOM_BITS_H_

#include <cstdint>

namespace llama {

// 64 random bits from the operating system, for ids and seeds. (A std::random_device asks the
// processor what it can do each time that one is made, for which a virtual machine stops: 60 µs.)
uint64_t RandomBits();

}  // namespace llama

#endif  // LLAMA_COMMON_RANDOM_BITS_H_
