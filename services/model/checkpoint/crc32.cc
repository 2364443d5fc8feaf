#include "services/model/checkpoint/crc32.h"

#include <zlib.h>

#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace llama {
namespace {

uint32_t ZlibCrc32(std::span<const std::byte> bytes, uint32_t crc) {
  return static_cast<uint32_t>(
      crc32_z(crc, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

#if defined(__x86_64__)

// "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction", Intel, 2009. A CRC is
// the remainder of the message, a polynomial over GF(2), by P. 128 bits of the message that stand
// `distance` bits before others may be added to these, once multiplied by x^distance mod P: a
// message shrinks ("folds") to its last 128 bits, which zlib finishes.

// x^exponent mod P, with the bits in the order of the CRC-32 (the lowest power in the highest bit),
// and shifted by one: the product of two 64-bit reflected numbers has 127 bits, not 128.
constexpr uint64_t ReflectedPower(int exponent) {
  uint32_t power = 0x80000000;  // x^0
  for (int i = 0; i < exponent; ++i) power = power >> 1 ^ ((power & 1) != 0 ? 0xEDB88320 : 0);
  return uint64_t{power} << 1;
}
// The factors for the halves of 128 bits that move by `distance` bits: the first half, in the low
// lane, stands 64 bits further. 32 of the power are in the number's place within its 64 bits.
constexpr uint64_t LowFactor(int distance) { return ReflectedPower(distance + 32); }
constexpr uint64_t HighFactor(int distance) { return ReflectedPower(distance - 32); }
static_assert(LowFactor(512) == 0x154442bd4 && HighFactor(512) == 0x1c6e41596);  // As published.

// The CRC-32 of a message that has been folded to `last`, and continues with `rest`.
uint32_t Finish(const std::byte (&last)[16], std::span<const std::byte> rest) {
  // zlib inverts the CRC before and after; the value before has gone into the message already.
  return ZlibCrc32(rest, ZlibCrc32(last, ~uint32_t{0}));
}

// Memory is waited for: what comes so much later is prefetched, line by line.
constexpr size_t kAheadBytes = 4096;
inline void Prefetch(const void* at) {
  __builtin_prefetch(static_cast<const std::byte*>(at) + kAheadBytes);
}

#define LLAMA_PCLMUL [[gnu::target("pclmul,sse4.1")]]

LLAMA_PCLMUL inline __m128i Fold(__m128i bits, __m128i factors, __m128i onto) {
  const __m128i low = _mm_clmulepi64_si128(bits, factors, 0x00);
  const __m128i high = _mm_clmulepi64_si128(bits, factors, 0x11);
  return _mm_xor_si128(_mm_xor_si128(low, high), onto);
}

template <int Distance>
LLAMA_PCLMUL inline __m128i Factors() {
  constexpr auto low = static_cast<int64_t>(LowFactor(Distance));
  constexpr auto high = static_cast<int64_t>(HighFactor(Distance));
  return _mm_set_epi64x(high, low);
}

LLAMA_PCLMUL uint32_t PclmulCrc32(std::span<const std::byte> bytes, uint32_t crc) {
  constexpr size_t kLanes = 4;
  constexpr size_t kStep = 16 * kLanes;
  if (bytes.size() < 2 * kStep) return ZlibCrc32(bytes, crc);
  const auto* at = reinterpret_cast<const __m128i*>(bytes.data());
  __m128i lanes[kLanes];
  for (__m128i& lane : lanes) lane = _mm_loadu_si128(at++);
  lanes[0] = _mm_xor_si128(lanes[0], _mm_cvtsi32_si128(static_cast<int>(~crc)));
  size_t done = kStep;
  const __m128i step = Factors<8 * kStep>();
  for (; done + kStep <= bytes.size(); done += kStep) {
    Prefetch(at);
    for (__m128i& lane : lanes) lane = Fold(lane, step, _mm_loadu_si128(at++));
  }
  const __m128i neighbour = Factors<128>();
  for (size_t i = 1; i < kLanes; ++i) lanes[i] = Fold(lanes[i - 1], neighbour, lanes[i]);
  std::byte last[16];
  _mm_storeu_si128(reinterpret_cast<__m128i*>(last), lanes[kLanes - 1]);
  return Finish(last, bytes.subspan(done));
}

#define LLAMA_VPCLMUL_AVX2 [[gnu::target("avx2,vpclmulqdq,pclmul,sse4.1")]]

LLAMA_VPCLMUL_AVX2 inline __m256i Fold(__m256i bits, __m256i factors, __m256i onto) {
  const __m256i low = _mm256_clmulepi64_epi128(bits, factors, 0x00);
  const __m256i high = _mm256_clmulepi64_epi128(bits, factors, 0x11);
  return _mm256_xor_si256(_mm256_xor_si256(low, high), onto);
}

LLAMA_VPCLMUL_AVX2 uint32_t VpclmulAvx2Crc32(std::span<const std::byte> bytes, uint32_t crc) {
  constexpr size_t kLanes = 4;
  constexpr size_t kStep = 32 * kLanes;
  if (bytes.size() < 2 * kStep) return PclmulCrc32(bytes, crc);
  const auto* at = reinterpret_cast<const __m256i*>(bytes.data());
  __m256i lanes[kLanes];
  for (__m256i& lane : lanes) lane = _mm256_loadu_si256(at++);
  lanes[0] = _mm256_xor_si256(lanes[0], _mm256_set_epi64x(0, 0, 0, ~crc));
  size_t done = kStep;
  const __m256i step = _mm256_broadcastsi128_si256(Factors<8 * kStep>());
  for (; done + kStep <= bytes.size(); done += kStep) {
    Prefetch(at);
    Prefetch(at + kLanes / 2);
    for (__m256i& lane : lanes) lane = Fold(lane, step, _mm256_loadu_si256(at++));
  }
  const __m256i neighbour = _mm256_broadcastsi128_si256(Factors<256>());
  for (size_t i = 1; i < kLanes; ++i) lanes[i] = Fold(lanes[i - 1], neighbour, lanes[i]);
  const __m128i folded = Fold(_mm256_castsi256_si128(lanes[kLanes - 1]), Factors<128>(),
                              _mm256_extracti128_si256(lanes[kLanes - 1], 1));
  std::byte last[16];
  _mm_storeu_si128(reinterpret_cast<__m128i*>(last), folded);
  return Finish(last, bytes.subspan(done));
}

#define LLAMA_VPCLMUL_AVX512 [[gnu::target("avx512f,vpclmulqdq,pclmul,sse4.1")]]

LLAMA_VPCLMUL_AVX512 inline __m512i Fold(__m512i bits, __m512i factors, __m512i onto) {
  const __m512i low = _mm512_clmulepi64_epi128(bits, factors, 0x00);
  const __m512i high = _mm512_clmulepi64_epi128(bits, factors, 0x11);
  return _mm512_ternarylogic_epi64(low, high, onto, 0x96);  // Exclusive or of the three.
}

template <int Distance>
LLAMA_VPCLMUL_AVX512 inline __m512i WideFactors() {
  constexpr auto low = static_cast<int64_t>(LowFactor(Distance));
  constexpr auto high = static_cast<int64_t>(HighFactor(Distance));
  return _mm512_set_epi64(high, low, high, low, high, low, high, low);
}

LLAMA_VPCLMUL_AVX512 uint32_t VpclmulAvx512Crc32(std::span<const std::byte> bytes, uint32_t crc) {
  constexpr size_t kLanes = 4;
  constexpr size_t kStep = 64 * kLanes;
  if (bytes.size() < 2 * kStep) return PclmulCrc32(bytes, crc);
  const std::byte* at = bytes.data();
  __m512i lanes[kLanes];
  for (__m512i& lane : lanes) {
    lane = _mm512_loadu_si512(at);
    at += 64;
  }
  lanes[0] = _mm512_xor_si512(lanes[0], _mm512_set_epi64(0, 0, 0, 0, 0, 0, 0, ~crc));
  size_t done = kStep;
  const __m512i step = WideFactors<8 * kStep>();
  for (; done + kStep <= bytes.size(); done += kStep) {
    for (__m512i& lane : lanes) {
      Prefetch(at);
      lane = Fold(lane, step, _mm512_loadu_si512(at));
      at += 64;
    }
  }
  const __m512i neighbour = WideFactors<512>();
  for (size_t i = 1; i < kLanes; ++i) lanes[i] = Fold(lanes[i - 1], neighbour, lanes[i]);
  __m128i quarters[4];
  _mm512_storeu_si512(quarters, lanes[kLanes - 1]);
  for (size_t i = 1; i < 4; ++i) quarters[i] = Fold(quarters[i - 1], Factors<128>(), quarters[i]);
  std::byte last[16];
  _mm_storeu_si128(reinterpret_cast<__m128i*>(last), quarters[3]);
  return Finish(last, bytes.subspan(done));
}

#endif  // __x86_64__

std::vector<Crc32Method> FindSupported() {
  std::vector<Crc32Method> found = {{"zlib", ZlibCrc32}};
#if defined(__x86_64__)
  if (__builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1")) {
    found.push_back({"pclmul", PclmulCrc32});
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("vpclmulqdq")) {
      found.push_back({"vpclmul_avx2", VpclmulAvx2Crc32});
    }
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("vpclmulqdq")) {
      found.push_back({"vpclmul_avx512", VpclmulAvx512Crc32});
    }
  }
#endif
  return found;
}

}  // namespace

std::span<const Crc32Method> SupportedCrc32() {
  static const auto& supported = *new std::vector<Crc32Method>(FindSupported());
  return supported;
}

uint32_t Crc32(std::span<const std::byte> bytes, uint32_t crc) {
  return SupportedCrc32().back().compute(bytes, crc);
}

}  // namespace llama
