#ifndef LLAMA_SERVICES_MODEL_ENGINE_RANDOM_H_
#define LLAMA_SERVICES_MODEL_ENGINE_RANDOM_H_

#include <array>
#include <cstdint>

namespace llama {

// Philox4x32-10 of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011): a
// function from a counter and a key to four random words.
std::array<uint32_t, 4> Philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

// A number in [0, 1) for the draw at a position of the sequence with this seed, of 53 random bits.
double UniformAt(uint64_t seed, uint64_t position);

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_ENGINE_RANDOM_H_
