// No include guard and no includes: a part of kernels_avx512_bf16.cc and kernels_amx_bf16.cc.

// Where a plain intrinsic makes g++ 12 warn of uninitialized values, the masked one with all lanes
// does not.
constexpr __mmask16 kAll = 0xFFFF;
LLAMA_TARGET inline __mmask16 First(size_t n) {
  return static_cast<__mmask16>((uint32_t{1} << n) - 1);
}

// 32 elements of two tokens by turns, as products of pairs take them: the first 16 of each, then
// the others.
struct TokenPairs {
  __m512i low;
  __m512i high;
};
LLAMA_TARGET inline TokenPairs PairTokens(__m512i first, __m512i second) {
  // Indices of the second have 32 added.
  const __m512i low_order = _mm512_set_epi32(
      0x2F000F, 0x2E000E, 0x2D000D, 0x2C000C, 0x2B000B, 0x2A000A, 0x290009, 0x280008, 0x270007,
      0x260006, 0x250005, 0x240004, 0x230003, 0x220002, 0x210001, 0x200000);
  const __m512i high_order = _mm512_add_epi32(low_order, _mm512_set1_epi32(0x100010));
  return {.low = _mm512_permutex2var_epi16(first, low_order, second),
          .high = _mm512_permutex2var_epi16(first, high_order, second)};
}
