// No include guard and no includes: a part of each kernels_*.cc, which defines first
//   LLAMA_TARGET   the attribute of its instruction set, without which nothing here may be
//   compiled; Vector, kLanes, Zero(), Fma(a, b, sum), Load(p), LoadFirst(p, n), Store(p, v),
//   Broadcast(f), Sum(v)         float32 lanes; Load() widens what it reads; kTileRows, kTileCols
//   the tile whose sums fit the registers.
// An Op says what one step of a dot product is: W, X, kStep elements at a time, LoadW(p), LoadX(p),
// the first n only (zeros behind) with LoadWFirst(p, n), LoadXFirst(p, n), and Step(w, x, sum).

// R rows against C columns: each output has one accumulator, whose lanes take the elements in order
// and are summed at the end, so that an output is the same in every tile.
template <typename Op, size_t R, size_t C>
LLAMA_TARGET inline void Tile(const typename Op::W* w, size_t cols, const typename Op::X* x,
                              float* y, size_t y_stride) {
  Vector sums[R][C];
#pragma GCC unroll 8
  for (size_t r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (size_t c = 0; c < C; ++c) sums[r][c] = Zero();
  }
  size_t k = 0;
  for (; k + Op::kStep <= cols; k += Op::kStep) {
    typename Op::WVector rows[R];
#pragma GCC unroll 8
    for (size_t r = 0; r < R; ++r) rows[r] = Op::LoadW(w + r * cols + k);
#pragma GCC unroll 8
    for (size_t c = 0; c < C; ++c) {
      const auto column = Op::LoadX(x + c * cols + k);
#pragma GCC unroll 8
      for (size_t r = 0; r < R; ++r) sums[r][c] = Op::Step(rows[r], column, sums[r][c]);
    }
  }
  if (k < cols) {
    for (size_t c = 0; c < C; ++c) {
      const auto column = Op::LoadXFirst(x + c * cols + k, cols - k);
      for (size_t r = 0; r < R; ++r) {
        sums[r][c] = Op::Step(Op::LoadWFirst(w + r * cols + k, cols - k), column, sums[r][c]);
      }
    }
  }
#pragma GCC unroll 8
  for (size_t r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (size_t c = 0; c < C; ++c) y[c * y_stride + r] = Sum(sums[r][c]);
  }
}

// R rows against all columns, which come from the cache while the rows stay in it.
template <typename Op, size_t R>
LLAMA_TARGET inline void RowTiles(const typename Op::W* w, size_t cols, const typename Op::X* x,
                                  size_t n, float* y, size_t y_stride) {
  size_t c = 0;
  for (; c + kTileCols <= n; c += kTileCols) {
    Tile<Op, R, kTileCols>(w, cols, x + c * cols, y + c * y_stride, y_stride);
  }
  for (; c < n; ++c) Tile<Op, R, 1>(w, cols, x + c * cols, y + c * y_stride, y_stride);
}

template <typename Op>
LLAMA_TARGET void MatMul(const typename Op::W* w, size_t rows, size_t cols, const typename Op::X* x,
                         size_t n, float* y, size_t y_stride) {
  size_t r = 0;
  for (; r + kTileRows <= rows; r += kTileRows) {
    RowTiles<Op, kTileRows>(w + r * cols, cols, x, n, y + r, y_stride);
  }
  for (; r < rows; ++r) RowTiles<Op, 1>(w + r * cols, cols, x, n, y + r, y_stride);
}

template <typename V>
LLAMA_TARGET void WeightedSum(const V* values, size_t count, size_t dim, const float* weights,
                              size_t weights_stride, size_t n, float* out) {
  for (size_t q = 0; q < n; ++q) {
    size_t d = 0;
    for (; d + kLanes <= dim; d += kLanes) {
      Vector sum = Load(out + q * dim + d);
      for (size_t t = 0; t < count; ++t) {
        sum = Fma(Broadcast(weights[q * weights_stride + t]), Load(values + t * dim + d), sum);
      }
      Store(out + q * dim + d, sum);
    }
    if (d == dim) continue;
    Vector sum = LoadFirst(out + q * dim + d, dim - d);
    for (size_t t = 0; t < count; ++t) {
      sum = Fma(Broadcast(weights[q * weights_stride + t]),
                LoadFirst(values + t * dim + d, dim - d), sum);
    }
    StoreFirst(out + q * dim + d, dim - d, sum);
  }
}
