#ifndef LLAMA_SERVICES_MODEL_TENSOR_BF16_H_
#define LLAMA_SERVICES_MODEL_TENSOR_BF16_H_

#include <bit>
#include <cmath>
#include <cstdint>

namespace llama {

// The upper half of a float32. For storage: sums are float32.
struct Bf16 {
  uint16_t bits = 0;
};

inline float ToFloat(Bf16 value) { return std::bit_cast<float>(uint32_t{value.bits} << 16); }

// Rounds to the nearest, ties to even. A NaN stays one.
inline Bf16 ToBf16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  if (std::isnan(value)) return Bf16{static_cast<uint16_t>(bits >> 16 | 0x40)};
  return Bf16{static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
}

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_TENSOR_BF16_H_
