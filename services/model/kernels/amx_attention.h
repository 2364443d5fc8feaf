// No include guard and no includes: a part of kernels_amx_bf16.cc. Attention: the rows of a tile
// are queries, whose scores and sums are computed kPanel at a time.

// The values of so many tokens stay in the first-level cache while all elements pass by.
constexpr size_t kCachedTokens = 256;
static_assert(kKeyTokens == kTile && kSumTokens == kDepth);

// One tile of queries or two, against the keys of a block: as they lie, 16 rows of pairs of
// elements for every kDepth, a pair of each token. Elements that are left fill the registers 2, 3
// and 7.
template <bool TwoRows>
LLAMA_TARGET inline void BlockScores(const Bf16* keys, size_t dim, const Bf16* queries,
                                     float* scores, size_t scores_stride) {
  const size_t query_bytes = dim * sizeof *queries;
  const Bf16* const second = queries + kTile * dim;
  Zero<0>();
  if constexpr (TwoRows) Zero<1>();
  size_t d = 0;
  for (; d + kDepth <= dim; d += kDepth) {
    Load<6>(keys + d * kKeyTokens, kRowBytes);
    Load<4>(queries + d, query_bytes);
    MultiplyAdd<0, 4, 6>();
    Zero<4>();
    if constexpr (TwoRows) {
      Load<5>(second + d, query_bytes);
      MultiplyAdd<1, 5, 6>();
      Zero<5>();
    }
    Zero<6>();
  }
  if (d < dim) {
    Load<7>(keys + d * kKeyTokens, kRowBytes);
    Load<2>(queries + d, query_bytes);
    MultiplyAdd<0, 2, 7>();
    if constexpr (TwoRows) {
      Load<3>(second + d, query_bytes);
      MultiplyAdd<1, 3, 7>();
    }
  }
  Store<0>(scores, scores_stride * sizeof *scores);
  if constexpr (TwoRows) Store<1>(scores + kTile * scores_stride, scores_stride * sizeof *scores);
}

LLAMA_TARGET void Scores(const Bf16* const* blocks, size_t count, size_t dim, const Bf16* queries,
                         size_t n, float* scores, size_t scores_stride) {
  const size_t rest = dim % kDepth;
  for (size_t q = 0; q < n; q += kPanel) {
    const size_t rows = std::min(kPanel, n - q);
    TileShapes shapes;
    for (const size_t i : {0, 1}) {
      const size_t tile_rows = i == 0 ? std::min(rows, kTile) : rows - std::min(rows, kTile);
      shapes.Set(i, tile_rows, kTile * sizeof(float));
      shapes.Set(2 + i, tile_rows, rest * sizeof(Bf16));
      shapes.Set(4 + i, tile_rows, kRowBytes);
    }
    shapes.Set(6, kTile, kRowBytes);
    shapes.Set(7, rest / 2, kRowBytes);
    Configure(&shapes);
    for (size_t b = 0; b < count; ++b) {
      if (b + 1 < count) PrefetchBlock(blocks[b + 1], dim);
      float* const out = scores + q * scores_stride + b * kKeyTokens;
      if (rows > kTile) {
        BlockScores<true>(blocks[b], dim, queries + q * dim, out, scores_stride);
      } else {
        BlockScores<false>(blocks[b], dim, queries + q * dim, out, scores_stride);
      }
    }
  }
  Release();
}

// Values of kDepth tokens from t on, `width` elements from d of each, as tdpbf16ps takes them: two
// tiles of 16 elements side by side, in rows of pairs of tokens. Tokens from `count` on are zeros.
LLAMA_TARGET void PairValues(const Bf16* const* blocks, size_t t, size_t count, size_t dim,
                             size_t d, size_t width, Bf16 (&pairs)[2][kTile][kDepth]) {
  const auto mask = static_cast<__mmask32>((uint64_t{1} << width) - 1);
  for (size_t i = 0; i < kTile; ++i) {
    const size_t token = t + 2 * i;
    __m512i first = _mm512_setzero_si512();
    __m512i second = first;
    if (token < count) {
      const Bf16* const values = blocks[token / kKeyTokens] + token % kKeyTokens * dim + d;
      first = _mm512_maskz_loadu_epi16(mask, values);
      if (token + 1 < count) second = _mm512_maskz_loadu_epi16(mask, values + dim);
    }
    const TokenPairs by_turns = PairTokens(first, second);
    _mm512_store_si512(pairs[0][i], by_turns.low);
    _mm512_store_si512(pairs[1][i], by_turns.high);
  }
}

// A sum over the values of `count` tokens, for one panel of queries.
struct WeightedValues {
  const Bf16* const* blocks;
  size_t count;
  size_t dim;
  const Bf16* weights;
  size_t weights_stride;
  float* out;
  bool first_panel;  // Which waits for the values: the others find them in the cache.
};

// All elements of kSumTokens tokens from t on. Always inline, as PrefetchBlock().
[[gnu::always_inline]] LLAMA_TARGET inline void PrefetchValues(const WeightedValues& sum,
                                                               size_t t) {
  for (const size_t end = std::min(sum.count, t + kSumTokens); t < end; t += kKeyTokens) {
    PrefetchBlock(sum.blocks[t / kKeyTokens], sum.dim);
  }
}

// Tokens [begin, end) of it, for `width` elements from d on.
template <bool TwoRows, bool TwoColumns>
LLAMA_TARGET void AddValues(const WeightedValues& sum, size_t begin, size_t end, size_t d,
                            size_t width) {
  const PanelSums panel_sums = {.first = sum.out + d,
                                .stride = sum.dim,
                                .second_rows = kTile * sum.dim,
                                .second_columns = kTile};
  if (begin > 0) {
    LoadSums<TwoRows, TwoColumns>(panel_sums);
  } else {
    ZeroSums<TwoRows, TwoColumns>();
  }
  alignas(64) Bf16 pairs[2][kTile][kDepth];
  for (size_t t = begin; t < end; t += kSumTokens) {
    if (sum.first_panel && d == 0) PrefetchValues(sum, t + kSumTokens);
    PairValues(sum.blocks, t, sum.count, sum.dim, d, width, pairs);
    AddProducts<TwoRows, TwoColumns>(
        {.first = sum.weights + t,
         .stride = sum.weights_stride,
         .second = kTile * sum.weights_stride},
        {.first = pairs[0][0], .stride = kDepth, .second = kTile * kDepth});
  }
  StoreSums<TwoRows, TwoColumns>(panel_sums);
}

LLAMA_TARGET void WeightedSum(const Bf16* const* blocks, size_t count, size_t dim,
                              const Bf16* weights, size_t weights_stride, size_t n, float* out) {
  for (size_t q = 0; q < n; q += kPanel) {
    const size_t rows = std::min(kPanel, n - q);
    const WeightedValues sum = {.blocks = blocks,
                                .count = count,
                                .dim = dim,
                                .weights = weights + q * weights_stride,
                                .weights_stride = weights_stride,
                                .out = out + q * dim,
                                .first_panel = q == 0};
    size_t shaped = 0;  // For panels of that width.
    for (size_t begin = 0; begin < count; begin += kCachedTokens) {
      const size_t end = std::min(count, begin + kCachedTokens);
      for (size_t d = 0; d < dim; d += kPanel) {
        const size_t width = std::min(kPanel, dim - d);
        const size_t low = std::min(width, kTile);
        if (width != shaped) ShapePanel(rows, low, width - low);
        shaped = width;
        const auto add = rows > kTile
                             ? (width > kTile ? AddValues<true, true> : AddValues<true, false>)
                             : (width > kTile ? AddValues<false, true> : AddValues<false, false>);
        add(sum, begin, end, d, width);
      }
    }
  }
  Release();
}
