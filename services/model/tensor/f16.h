#ifndef LLAMA_SERVICES_MODEL_TENSOR_F16_H_
#define LLAMA_SERVICES_MODEL_TENSOR_F16_H_

#include <bit>
#include <cstdint>

namespace llama {

// The value of an IEEE 754 binary16 number, exactly.
inline float F16ToFloat(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000) << 16;
  const uint32_t exponent = bits >> 10 & 0x1F;
  const uint32_t fraction = bits & 0x3FF;
  if (exponent == 0) {  // Zero or subnormal: fraction * 2^-24.
    const float magnitude = static_cast<float>(fraction) * 0x1p-24F;
    return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(magnitude));
  }
  if (exponent == 0x1F) return std::bit_cast<float>(sign | 0x7F800000 | fraction << 13);
  return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
}

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_TENSOR_F16_H_
