// No include guard and no includes: a part of kernels_avx512_bf16.cc. The weighted sum of bf16
// values with vdpbf16ps, which takes the values of two tokens at once.

constexpr size_t kPairDims = 32;  // Two vectors of sums.

// The tokens `row` and the next, or next to one of zeros if Alone, for Q queries and D times 32
// dimensions, of which only those in `mask` exist.
template <size_t Q, size_t D, bool Alone>
LLAMA_TARGET inline void AddPair(const Bf16* row, size_t dim, __mmask32 mask, const Bf16* weights,
                                 size_t weights_stride, Vector (&sums)[Q][D][2]) {
  __m512bh pairs[D][2];
#pragma GCC unroll 2
  for (size_t d = 0; d < D; ++d) {
    const Bf16* const at = row + d * kPairDims;
    const __m512i first = _mm512_maskz_loadu_epi16(mask, at);
    const __m512i second =
        Alone ? _mm512_setzero_si512() : _mm512_maskz_loadu_epi16(mask, at + dim);
    const TokenPairs by_turns = PairTokens(first, second);
    pairs[d][0] = reinterpret_cast<__m512bh>(by_turns.low);
    pairs[d][1] = reinterpret_cast<__m512bh>(by_turns.high);
  }
#pragma GCC unroll 4
  for (size_t q = 0; q < Q; ++q) {
    int32_t pair = 0;
    std::memcpy(&pair, weights + q * weights_stride, Alone ? sizeof(Bf16) : sizeof pair);
    const auto weight = reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair));
#pragma GCC unroll 2
    for (size_t d = 0; d < D; ++d) {
      sums[q][d][0] = _mm512_dpbf16_ps(sums[q][d][0], weight, pairs[d][0]);
      sums[q][d][1] = _mm512_dpbf16_ps(sums[q][d][1], weight, pairs[d][1]);
    }
  }
}

template <size_t Q, size_t D>
LLAMA_TARGET void PairTile(const Bf16* values, size_t count, size_t dim, __mmask32 mask,
                           const Bf16* weights, size_t weights_stride, float* out) {
  const auto low_mask = static_cast<__mmask16>(mask);
  const auto high_mask = static_cast<__mmask16>(mask >> 16);
  Vector sums[Q][D][2];
#pragma GCC unroll 4
  for (size_t q = 0; q < Q; ++q) {
#pragma GCC unroll 2
    for (size_t d = 0; d < D; ++d) {
      const float* const at = out + q * dim + d * kPairDims;
      sums[q][d][0] = _mm512_maskz_loadu_ps(low_mask, at);
      sums[q][d][1] = _mm512_maskz_loadu_ps(high_mask, at + kLanes);
    }
  }
  size_t t = 0;
  for (; t + 2 <= count; t += 2) {
    AddPair<Q, D, false>(values + t * dim, dim, mask, weights + t, weights_stride, sums);
  }
  if (t < count) {
    AddPair<Q, D, true>(values + t * dim, dim, mask, weights + t, weights_stride, sums);
  }
#pragma GCC unroll 4
  for (size_t q = 0; q < Q; ++q) {
#pragma GCC unroll 2
    for (size_t d = 0; d < D; ++d) {
      float* const at = out + q * dim + d * kPairDims;
      _mm512_mask_storeu_ps(at, low_mask, sums[q][d][0]);
      _mm512_mask_storeu_ps(at + kLanes, high_mask, sums[q][d][1]);
    }
  }
}

template <size_t D>
LLAMA_TARGET void PairQueries(const Bf16* values, size_t count, size_t dim, __mmask32 mask,
                              const Bf16* weights, size_t weights_stride, size_t n, float* out) {
  size_t q = 0;
  for (; q + 4 <= n; q += 4) {
    PairTile<4, D>(values, count, dim, mask, weights + q * weights_stride, weights_stride,
                   out + q * dim);
  }
  for (; q < n; ++q) {
    PairTile<1, D>(values, count, dim, mask, weights + q * weights_stride, weights_stride,
                   out + q * dim);
  }
}

// The tokens of a block.
LLAMA_TARGET void AddBlock(const Bf16* values, size_t count, size_t dim, const Bf16* weights,
                           size_t weights_stride, size_t n, float* out) {
  size_t d = 0;
  for (; d + 2 * kPairDims <= dim; d += 2 * kPairDims) {
    PairQueries<2>(values + d, count, dim, ~__mmask32{0}, weights, weights_stride, n, out + d);
  }
  for (; d < dim; d += kPairDims) {
    const size_t rest = std::min(kPairDims, dim - d);
    PairQueries<1>(values + d, count, dim, static_cast<__mmask32>((uint64_t{1} << rest) - 1),
                   weights, weights_stride, n, out + d);
  }
}

LLAMA_TARGET void WeightedSumPairs(const Bf16* const* blocks, size_t count, size_t dim,
                                   const Bf16* weights, size_t weights_stride, size_t n,
                                   float* out) {
  std::fill(out, out + n * dim, 0.0F);
  for (size_t t = 0; t < count; t += kKeyTokens) {
    if (t + kKeyTokens < count) PrefetchBlock(blocks[t / kKeyTokens + 1], dim);
    AddBlock(blocks[t / kKeyTokens], std::min(kKeyTokens, count - t), dim, weights + t,
             weights_stride, n, out);
  }
}
