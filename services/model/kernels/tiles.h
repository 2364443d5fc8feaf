// No include guard and no includes: a part of each kernels_*.cc, which defines first
//   LLAMA_TARGET   the attribute of its instruction set, without which nothing here may be
//   compiled; Vector, Zero(); kTileRows, kTileCols: the tile whose sums fit the registers;
//   kWideRows, kWideCols: another one, for more than kTileCols and up to kWideCols columns;
//   StoreSums<R>(sums, y, add)   y[r] (+)= the sum of the lanes of sums[r], in one fixed order.
// An Op says what one step of a dot product is: W, X, kStep elements at a time, LoadW(p), LoadX(p),
// the first n only (zeros behind) with LoadWFirst(p, n), LoadXFirst(p, n), and Step(w, x, sum).

// Rows are cut into blocks of at most this many bytes, so that the blocks of several rows and
// columns fit the first-level cache. Of rows that lie whole pages apart, half a page would use half
// of the cache's sets only: their blocks are larger. A block has one accumulator per output, whose
// lanes take the elements in order and are then summed; the sums of the blocks are added in order.
// So the order of an output's sum depends on the row's length alone.
inline constexpr size_t kBlockBytes = 2048;
inline constexpr size_t kPageBytes = 4096;
// So many columns, at most, that memory is waited for whatever is done: rows are then read in
// whole, for the processor to foresee what comes next, but for the first cache lines of the next
// rows. More in rows of whole pages.
inline constexpr size_t kFewColumns = 2;
inline constexpr size_t kFewColumnsOfPages = 4;
inline constexpr size_t kLinesAhead = 4;
// Columns that are computed together, so that their blocks stay in the second-level cache while all
// rows pass by.
inline constexpr size_t kColumnBytes = size_t{256} << 10;

// A product of `count` elements of rows and columns that lie `stride` apart, in blocks of `block`.
template <typename Op>
struct BlockProduct {
  const typename Op::W* w;
  const typename Op::X* x;
  size_t count;
  size_t block;
  size_t stride;
  float* y;
  size_t y_stride;
  bool whole_rows;              // All blocks of a row one after the other.
  bool add;                     // To what y has; else y is overwritten.
  const typename Op::W* ahead;  // The rows that will be read next, `stride` apart; or null.
};

// R rows against C columns, while P rows from `ahead` are prefetched.
template <typename Op, size_t R, size_t C, size_t P>
LLAMA_TARGET void Tile(const BlockProduct<Op>& product) {
  const typename Op::W* const w = product.w;
  const typename Op::X* const x = product.x;
  const typename Op::W* const ahead = product.ahead;
  const size_t stride = product.stride;
  const size_t count = product.count;
  float* const y = product.y;
  const size_t y_stride = product.y_stride;
  bool add = product.add;
  size_t k = 0;
  do {
    const size_t end = std::min(k + product.block, count);
    Vector sums[C][R];
#pragma GCC unroll 8
    for (size_t c = 0; c < C; ++c) {
#pragma GCC unroll 8
      for (size_t r = 0; r < R; ++r) sums[c][r] = Zero();
    }
    for (; k + Op::kStep <= end; k += Op::kStep) {
#pragma GCC unroll 8
      for (size_t p = 0; p < P; ++p) __builtin_prefetch(ahead + p * stride + k);
      // The smaller side is held in registers, the other passes by.
      if constexpr (R < C) {
        typename Op::WVector rows[R];
#pragma GCC unroll 8
        for (size_t r = 0; r < R; ++r) rows[r] = Op::LoadW(w + r * stride + k);
#pragma GCC unroll 8
        for (size_t c = 0; c < C; ++c) {
          const auto column = Op::LoadX(x + c * stride + k);
#pragma GCC unroll 8
          for (size_t r = 0; r < R; ++r) sums[c][r] = Op::Step(rows[r], column, sums[c][r]);
        }
      } else {
        typename Op::XVector columns[C];
#pragma GCC unroll 8
        for (size_t c = 0; c < C; ++c) columns[c] = Op::LoadX(x + c * stride + k);
#pragma GCC unroll 8
        for (size_t r = 0; r < R; ++r) {
          const auto row = Op::LoadW(w + r * stride + k);
#pragma GCC unroll 8
          for (size_t c = 0; c < C; ++c) sums[c][r] = Op::Step(row, columns[c], sums[c][r]);
        }
      }
    }
    if (k < end) {
      typename Op::XVector columns[C];
#pragma GCC unroll 8
      for (size_t c = 0; c < C; ++c) columns[c] = Op::LoadXFirst(x + c * stride + k, end - k);
#pragma GCC unroll 8
      for (size_t r = 0; r < R; ++r) {
        const auto row = Op::LoadWFirst(w + r * stride + k, end - k);
#pragma GCC unroll 8
        for (size_t c = 0; c < C; ++c) sums[c][r] = Op::Step(row, columns[c], sums[c][r]);
      }
      k = end;
    }
#pragma GCC unroll 8
    for (size_t c = 0; c < C; ++c) StoreSums<R>(sums[c], y + c * y_stride, add);
    add = true;
  } while (k < count);
}

// Tile<Op, R, cols, ahead>, for cols <= C. MostRows: of a panel.
template <typename Op, size_t MostRows, size_t R, size_t C>
LLAMA_TARGET void TileOf(size_t cols, size_t ahead, const BlockProduct<Op>& product) {
  if constexpr (C > 1) {
    if (cols < C) return TileOf<Op, MostRows, R, C - 1>(cols, ahead, product);
  }
  // Prefetches pay where memory is waited for, which is where the tiles are whole.
  if constexpr (R == MostRows && Op::kStep * sizeof(typename Op::W) >= 64) {
    if (ahead == 1) return Tile<Op, R, C, 1>(product);
    if (ahead == 2) return Tile<Op, R, C, 2>(product);
    if (ahead == R / 2) return Tile<Op, R, C, R / 2>(product);
    if (ahead == R) return Tile<Op, R, C, R>(product);
  }
  Tile<Op, R, C, 0>(product);
}

// `rows` rows, at most R, against n columns, C at a time: the rows' block stays in the first-level
// cache. The rows from `ahead` are prefetched meanwhile, some with each tile.
template <typename Op, size_t MostRows, size_t R, size_t C>
LLAMA_TARGET void Panel(size_t rows, size_t n, BlockProduct<Op> product) {
  if constexpr (R > 1) {
    if (rows < R) return Panel<Op, MostRows, R - 1, C>(rows, n, product);
  }
  if (product.whole_rows && product.ahead != nullptr) {
    for (size_t r = 0; r < R; ++r) {
      for (size_t line = 0; line < kLinesAhead; ++line) {
        constexpr size_t kLine = 64 / sizeof(typename Op::W);
        __builtin_prefetch(product.ahead + r * product.stride + line * kLine);
      }
    }
    product.ahead = nullptr;
  }
  const BlockProduct<Op> whole = product;
  const size_t tiles = (n + C - 1) / C;
  const size_t rows_ahead = whole.ahead == nullptr ? 0 : R;
  for (size_t t = 0; t < tiles; ++t) {
    const size_t begin = n * t / tiles;
    const size_t ahead = rows_ahead * t / tiles;
    product.x = whole.x + begin * whole.stride;
    product.y = whole.y + begin * whole.y_stride;
    product.ahead = whole.ahead + ahead * whole.stride;
    TileOf<Op, MostRows, R, C>(n * (t + 1) / tiles - begin, rows_ahead * (t + 1) / tiles - ahead,
                               product);
  }
}

// In tiles of R rows and C columns.
template <typename Op, size_t R, size_t C>
LLAMA_TARGET void MatMulInTiles(const typename Op::W* w, size_t rows, size_t cols,
                                const typename Op::X* x, size_t n, float* y, size_t y_stride) {
  using W = typename Op::W;
  constexpr size_t kElement = std::max(sizeof(W), sizeof(typename Op::X));
  const bool pages = cols * sizeof(W) % kPageBytes == 0;
  const size_t most = pages ? kPageBytes : kBlockBytes;
  const bool few = n <= std::min(pages ? kFewColumnsOfPages : kFewColumns, C);
  const size_t blocks = (cols * kElement + most - 1) / most;
  const size_t block = (cols + blocks * Op::kStep - 1) / (blocks * Op::kStep) * Op::kStep;
  const auto panel = [&](size_t r, size_t k, size_t count, size_t column, size_t columns,
                         const W* ahead) {
    Panel<Op, R, R, C>(rows - r, columns,
                       {.w = w + r * cols + k,
                        .x = x + column * cols + k,
                        .count = count,
                        .block = block,
                        .stride = cols,
                        .y = y + column * y_stride + r,
                        .y_stride = y_stride,
                        .whole_rows = few,
                        .add = k > 0,
                        .ahead = ahead});
  };
  if (few) {
    for (size_t r = 0; r < rows; r += R) {
      panel(r, 0, cols, 0, n, r + R < rows ? w + (r + R) * cols : nullptr);
    }
    return;
  }
  const size_t groups = (n * block * sizeof(typename Op::X) + kColumnBytes - 1) / kColumnBytes;
  for (size_t g = 0; g < groups; ++g) {
    const size_t begin = n * g / groups;
    for (size_t k = 0; k < cols; k += block) {
      for (size_t r = 0; r < rows; r += R) {
        // The next rows, or the first ones of the next block.
        panel(r, k, std::min(block, cols - k), begin, n * (g + 1) / groups - begin,
              r + R < rows       ? w + (r + R) * cols + k
              : k + block < cols ? w + k + block
                                 : nullptr);
      }
    }
  }
}

template <typename Op>
LLAMA_TARGET void MatMul(const typename Op::W* w, size_t rows, size_t cols, const typename Op::X* x,
                         size_t n, float* y, size_t y_stride) {
  if (n > kTileCols && n <= kWideCols) {
    return MatMulInTiles<Op, kWideRows, kWideCols>(w, rows, cols, x, n, y, y_stride);
  }
  MatMulInTiles<Op, kTileRows, kTileCols>(w, rows, cols, x, n, y, y_stride);
}
