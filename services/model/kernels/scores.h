// No include guard and no includes: a part of each kernels_*.cc, which defines first what
// elementwise.h names, and kScoreQueries: the most queries whose sums fit the registers.
// An Op says what one step is: T, the type of keys and queries; kPer elements of a key at a time;
// kVectors, that the tokens of a block take; LoadKeys(p); LoadQuery(p), in all lanes; and
// Step(keys, i, query, sum) for vector i of the tokens.

template <typename Op, size_t Q>
LLAMA_TARGET void ScoresTile(const typename Op::T* keys, size_t dim, const typename Op::T* queries,
                             float* scores, size_t scores_stride) {
  constexpr size_t kVectors = Op::kVectors;
  Vector sums[Q][kVectors];
#pragma GCC unroll 16
  for (size_t q = 0; q < Q; ++q) {
#pragma GCC unroll 2
    for (size_t i = 0; i < kVectors; ++i) sums[q][i] = Zero();
  }
  for (size_t d = 0; d < dim; d += Op::kPer) {
    const auto row = Op::LoadKeys(keys + d * kKeyTokens);
#pragma GCC unroll 16
    for (size_t q = 0; q < Q; ++q) {
      const auto query = Op::LoadQuery(queries + q * dim + d);
#pragma GCC unroll 2
      for (size_t i = 0; i < kVectors; ++i) sums[q][i] = Op::Step(row, i, query, sums[q][i]);
    }
  }
#pragma GCC unroll 16
  for (size_t q = 0; q < Q; ++q) {
#pragma GCC unroll 2
    for (size_t i = 0; i < kVectors; ++i) {
      Store(scores + q * scores_stride + i * kLanes, sums[q][i]);
    }
  }
}

// Q queries at a time, then fewer.
template <typename Op, size_t Q>
LLAMA_TARGET void ScoresFrom(size_t q, const typename Op::T* keys, size_t dim,
                             const typename Op::T* queries, size_t n, float* scores,
                             size_t scores_stride) {
  for (; q + Q <= n; q += Q) {
    ScoresTile<Op, Q>(keys, dim, queries + q * dim, scores + q * scores_stride, scores_stride);
  }
  if constexpr (Q > 1) ScoresFrom<Op, Q / 2>(q, keys, dim, queries, n, scores, scores_stride);
}

template <typename Op>
LLAMA_TARGET void Scores(const typename Op::T* const* blocks, size_t count, size_t dim,
                         const typename Op::T* queries, size_t n, float* scores,
                         size_t scores_stride) {
  for (size_t b = 0; b < count; ++b) {
    if (b + 1 < count) PrefetchBlock(blocks[b + 1], dim);
    ScoresFrom<Op, kScoreQueries>(0, blocks[b], dim, queries, n, scores + b * kKeyTokens,
                                  scores_stride);
  }
}
