// No include guard and no includes: a part of each kernels_*.cc, which defines first what
// elementwise.h names, and kSumQueries, kSumVectors: the tile whose sums fit the registers. V is
// the type of values and weights.

// Q queries, D vectors of each: a value is read once for all queries of the tile. Their weights
// have been widened, since a float32 is one instruction to broadcast.
template <typename V, size_t Q, size_t D>
LLAMA_TARGET void SumTile(const V* values, size_t count, size_t dim,
                          const float (*weights)[kKeyTokens], float* out) {
  Vector sums[Q][D];
#pragma GCC unroll 8
  for (size_t q = 0; q < Q; ++q) {
#pragma GCC unroll 8
    for (size_t d = 0; d < D; ++d) sums[q][d] = Load(out + q * dim + d * kLanes);
  }
  for (size_t t = 0; t < count; ++t) {
    Vector row[D];
#pragma GCC unroll 8
    for (size_t d = 0; d < D; ++d) row[d] = Load(values + t * dim + d * kLanes);
#pragma GCC unroll 8
    for (size_t q = 0; q < Q; ++q) {
      const Vector weight = Broadcast(weights[q][t]);
#pragma GCC unroll 8
      for (size_t d = 0; d < D; ++d) sums[q][d] = Fma(weight, row[d], sums[q][d]);
    }
  }
#pragma GCC unroll 8
  for (size_t q = 0; q < Q; ++q) {
#pragma GCC unroll 8
    for (size_t d = 0; d < D; ++d) Store(out + q * dim + d * kLanes, sums[q][d]);
  }
}

// All queries, for the D vectors of each at `values` and `out`.
template <typename V, size_t D>
LLAMA_TARGET void SumQueries(const V* values, size_t count, size_t dim,
                             const float (*weights)[kKeyTokens], size_t n, float* out) {
  size_t q = 0;
  for (; q + kSumQueries <= n; q += kSumQueries) {
    SumTile<V, kSumQueries, D>(values, count, dim, weights + q, out + q * dim);
  }
  for (; q < n; ++q) SumTile<V, 1, D>(values, count, dim, weights + q, out + q * dim);
}

// At most kKeyTokens tokens.
template <typename V>
LLAMA_TARGET void SumBlock(const V* values, size_t count, size_t dim,
                           const float (*weights)[kKeyTokens], size_t n, float* out) {
  size_t d = 0;
  for (; d + kSumVectors * kLanes <= dim; d += kSumVectors * kLanes) {
    SumQueries<V, kSumVectors>(values + d, count, dim, weights, n, out + d);
  }
  for (; d + kLanes <= dim; d += kLanes) {
    SumQueries<V, 1>(values + d, count, dim, weights, n, out + d);
  }
  if (d == dim) return;
  for (size_t q = 0; q < n; ++q) {
    Vector sum = LoadFirst(out + q * dim + d, dim - d);
    for (size_t t = 0; t < count; ++t) {
      sum = Fma(Broadcast(weights[q][t]), LoadFirst(values + t * dim + d, dim - d), sum);
    }
    StoreFirst(out + q * dim + d, dim - d, sum);
  }
}

template <typename V>
LLAMA_TARGET void WeightedSum(const V* const* blocks, size_t count, size_t dim, const V* weights,
                              size_t weights_stride, size_t n, float* out) {
  constexpr size_t kMostQueries = 32;
  float wide[kMostQueries][kKeyTokens];
  std::fill(out, out + n * dim, 0.0F);
  for (size_t t = 0; t < count; t += kKeyTokens) {
    const V* const block = blocks[t / kKeyTokens];
    if (t + kKeyTokens < count) PrefetchBlock(blocks[t / kKeyTokens + 1], dim);
    for (size_t q = 0; q < n; q += kMostQueries) {
      const size_t queries = std::min(kMostQueries, n - q);
      for (size_t i = 0; i < queries; ++i) {
        const V* const row = weights + (q + i) * weights_stride + t;
        for (size_t k = 0; k < kKeyTokens; k += kLanes) Store(wide[i] + k, Load(row + k));
      }
      SumBlock(block, std::min(kKeyTokens, count - t), dim, wide, queries, out + q * dim);
    }
  }
}
