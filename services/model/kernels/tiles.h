// No include guard and no includes: a part of each kernels_*.cc, which defines first
//   LLAMA_TARGET   the attribute of its instruction set, without which nothing here may be
//   compiled; Vector, Zero(); kBlockBytes; kStreamCols and kStreamBytes: rows are read in
//   streams for up to so many columns, or for few whose packed ones take up to so many bytes;
//   kFewTiles and kManyTiles: the tilings for up to kFewCols columns, and for more;
//   StoreSums<R>(sums, y, add)   y[r] (+)= the sum of the lanes of sums[r], in one fixed order.
// An Op says what one step of a dot product is: kStep elements of type W by as many of type X, in
// kParts vectors. LoadW(p, part) and, with zeros behind the first n elements, LoadWFirst(p, n,
// part) load a part of a row. PackStep(x, packed) writes a step of a column as elements of type
// Packed, part by part, from where LoadX(packed) loads them. Step(w, x, sum) adds the products of a
// part. Where unpacking weights costs, Wide is the Op for rows that were unpacked before, by
// WidenStep(w, wide), a step of which is as long; otherwise it is the Op itself. Source is the type
// of weights in memory.

// Rows are cut into blocks of at most kBlockBytes of packed columns, so that the blocks of several
// rows and columns fit the first-level cache. A block has one accumulator per output, whose lanes
// take the elements in order and are then summed; the sums of the blocks are added in order. So the
// order of an output's sum depends on the row's length alone.

// Columns that are computed together, so that their blocks stay in the second-level cache while all
// rows pass by.
inline constexpr size_t kColumnBytes = size_t{256} << 10;
// With few columns, memory is waited for whatever is done. It is fastest where it is read as this
// many long streams, each prefetched this far.
inline constexpr size_t kStreams = 4;
inline constexpr size_t kStreamAheadBytes = 1024;

// Prefetches pay where a step is a whole line.
template <typename Op>
inline constexpr bool kPrefetches = Op::kStep * sizeof(typename Op::Source) >= 64;
template <typename Op>
inline constexpr size_t kPartLength = Op::kStep / Op::kParts;

template <typename Op>
size_t StepsOf(size_t count) {
  return (count + Op::kStep - 1) / Op::kStep;
}

// Elements of a block of rows of `cols`.
template <typename Op>
size_t BlockLength(size_t cols) {
  const size_t blocks = (cols * sizeof(typename Op::Packed) + kBlockBytes - 1) / kBlockBytes;
  return StepsOf<Op>((cols + blocks - 1) / blocks) * Op::kStep;
}

// A product of `count` elements of rows and columns, in blocks of `block`.
template <typename Op>
struct BlockProduct {
  const typename Op::W* w;
  size_t w_stride;
  const typename Op::Packed* x;
  size_t count;
  size_t block;
  float* y;
  size_t y_stride;  // From column to column.
  size_t y_step;    // From row to row.
  bool add;         // To what y has; else y is overwritten.
  // The rows that will be read next, ahead_stride apart; or null.
  const typename Op::Source* ahead;
  size_t ahead_stride;
};

// The columns of tile t of those that n columns are cut into, at most C each: [begin, end).
template <size_t C>
std::pair<size_t, size_t> TileColumns(size_t n, size_t t) {
  const size_t tiles = (n + C - 1) / C;
  return {n * t / tiles, n * (t + 1) / tiles};
}

// Packs columns for Tile(): of each tile, step by step, those of all its columns one after the
// other, with zeros behind the last. So a tile reads them in one go, and no two drive one another
// out of the first-level cache, as columns do that lie whole pages apart.
template <typename Op, size_t C>
LLAMA_TARGET void Pack(const typename Op::X* x, size_t stride, size_t n, size_t count,
                       typename Op::Packed* packed) {
  for (size_t t = 0; t < (n + C - 1) / C; ++t) {
    const auto [begin, end] = TileColumns<C>(n, t);
    size_t k = 0;
    for (; k + Op::kStep <= count; k += Op::kStep) {
      for (size_t c = begin; c < end; ++c, packed += Op::kStep) {
        Op::PackStep(x + c * stride + k, packed);
      }
    }
    if (k == count) continue;
    for (size_t c = begin; c < end; ++c, packed += Op::kStep) {
      typename Op::X rest[Op::kStep] = {};
      std::memcpy(rest, x + c * stride + k, (count - k) * sizeof *x);
      Op::PackStep(rest, packed);
    }
  }
}

// R rows against C columns, while P rows from `ahead` are prefetched.
template <typename Op, size_t R, size_t C, size_t P>
LLAMA_TARGET void Tile(const BlockProduct<Op>& product) {
  const typename Op::W* const w = product.w;
  const typename Op::Packed* x = product.x;
  const typename Op::Source* const ahead = product.ahead;
  const size_t ahead_stride = product.ahead_stride;
  const size_t stride = product.w_stride;
  const size_t count = product.count;
  bool add = product.add;
  // Its results are wanted when it is done: those of other tiles have driven them out meanwhile.
#pragma GCC unroll 8
  for (size_t c = 0; c < C; ++c) __builtin_prefetch(product.y + c * product.y_stride, 1);
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
      for (size_t p = 0; p < P; ++p) __builtin_prefetch(ahead + p * ahead_stride + k);
#pragma GCC unroll 8
      for (size_t part = 0; part < Op::kParts; ++part) {
        // The smaller side is held in registers, the other passes by.
        if constexpr (R < C) {
          typename Op::WVector rows[R];
#pragma GCC unroll 8
          for (size_t r = 0; r < R; ++r) rows[r] = Op::LoadW(w + r * stride + k, part);
#pragma GCC unroll 8
          for (size_t c = 0; c < C; ++c) {
            const auto column = Op::LoadX(x + c * Op::kStep + part * kPartLength<Op>);
#pragma GCC unroll 8
            for (size_t r = 0; r < R; ++r) sums[c][r] = Op::Step(rows[r], column, sums[c][r]);
          }
        } else {
          typename Op::XVector columns[C];
#pragma GCC unroll 8
          for (size_t c = 0; c < C; ++c) {
            columns[c] = Op::LoadX(x + c * Op::kStep + part * kPartLength<Op>);
          }
#pragma GCC unroll 8
          for (size_t r = 0; r < R; ++r) {
            const auto row = Op::LoadW(w + r * stride + k, part);
#pragma GCC unroll 8
            for (size_t c = 0; c < C; ++c) sums[c][r] = Op::Step(row, columns[c], sums[c][r]);
          }
        }
      }
      x += C * Op::kStep;
    }
    if (k < end) {
#pragma GCC unroll 8
      for (size_t part = 0; part < Op::kParts; ++part) {
#pragma GCC unroll 8
        for (size_t r = 0; r < R; ++r) {
          const auto row = Op::LoadWFirst(w + r * stride + k, end - k, part);
#pragma GCC unroll 8
          for (size_t c = 0; c < C; ++c) {
            const auto column = Op::LoadX(x + c * Op::kStep + part * kPartLength<Op>);
            sums[c][r] = Op::Step(row, column, sums[c][r]);
          }
        }
      }
      k = end;
    }
#pragma GCC unroll 8
    for (size_t c = 0; c < C; ++c) {
      float* const y = product.y + c * product.y_stride;
      if (product.y_step == 1) {
        StoreSums<R>(sums[c], y, add);
        continue;
      }
      float values[R];
      StoreSums<R>(sums[c], values, false);
      for (size_t r = 0; r < R; ++r) {
        y[r * product.y_step] = add ? values[r] + y[r * product.y_step] : values[r];
      }
    }
    add = true;
  } while (k < count);
}

// Tile<Op, rows, cols, ahead>, for rows <= R and cols <= C; fewer rows than R prefetch none.
template <typename Op, size_t R, size_t C, bool Whole = true>
LLAMA_TARGET void TileOf(size_t rows, size_t cols, size_t ahead, const BlockProduct<Op>& product) {
  if constexpr (R > 1) {
    if (rows < R) return TileOf<Op, R - 1, C, false>(rows, cols, ahead, product);
  }
  if constexpr (C > 1) {
    if (cols < C) return TileOf<Op, R, C - 1, Whole>(rows, cols, ahead, product);
  }
  if constexpr (Whole && kPrefetches<Op>) {
    if (ahead == 1) return Tile<Op, R, C, 1>(product);
    if (ahead == 2) return Tile<Op, R, C, 2>(product);
    if (ahead == R / 2) return Tile<Op, R, C, R / 2>(product);
    if (ahead == R) return Tile<Op, R, C, R>(product);
  }
  Tile<Op, R, C, 0>(product);
}

// A panel: `rows` rows, whose block stays in the first-level cache, against n columns, in tiles of
// R by C. The rows from `ahead`, as many, are prefetched meanwhile, some with each tile.
template <typename Op, size_t R, size_t C>
LLAMA_TARGET void Panel(size_t rows, size_t n, const BlockProduct<Op>& panel) {
  const size_t column_length = StepsOf<Op>(panel.count) * Op::kStep;
  const size_t tiles = (n + C - 1) / C;
  const size_t all = tiles * ((rows + R - 1) / R);
  const size_t rows_ahead = panel.ahead == nullptr ? 0 : rows;
  BlockProduct<Op> product = panel;
  size_t done = 0;
  for (size_t t = 0; t < tiles; ++t) {
    const auto [begin, end] = TileColumns<C>(n, t);
    product.x = panel.x + begin * column_length;
    for (size_t r = 0; r < rows; r += R, ++done) {
      const size_t ahead = rows_ahead * done / all;
      product.w = panel.w + r * panel.w_stride;
      product.y = panel.y + begin * panel.y_stride + r * panel.y_step;
      product.ahead = panel.ahead + ahead * panel.ahead_stride;
      TileOf<Op, R, C>(std::min(R, rows - r), end - begin, rows_ahead * (done + 1) / all - ahead,
                       product);
    }
  }
}

// The same with rows that are unpacked first, once for all columns.
template <typename Op, Tiling T>
LLAMA_TARGET void WidePanel(size_t rows, size_t n, const BlockProduct<Op>& panel) {
  using Wide = typename Op::Wide;
  using Element = typename Wide::W;
  alignas(64) Element wide[T.panel_rows * (kBlockBytes / sizeof(Element) + Op::kStep)];
  const size_t length = StepsOf<Op>(panel.count) * Op::kStep;
  for (size_t r = 0; r < rows; ++r) {
    const typename Op::W* const w = panel.w + r * panel.w_stride;
    Element* const out = wide + r * length;
    size_t k = 0;
    for (; k + Op::kStep <= panel.count; k += Op::kStep) Op::WidenStep(w + k, out + k);
    if (k == panel.count) continue;
    typename Op::W rest[Op::kStep] = {};
    std::memcpy(rest, w + k, (panel.count - k) * sizeof *w);
    Op::WidenStep(rest, out + k);
  }
  Panel<Wide, T.rows, T.cols>(rows, n,
                              {.w = wide,
                               .w_stride = length,
                               .x = panel.x,
                               .count = length,
                               .block = length,
                               .y = panel.y,
                               .y_stride = panel.y_stride,
                               .y_step = panel.y_step,
                               .add = panel.add,
                               .ahead = panel.ahead,
                               .ahead_stride = panel.ahead_stride});
}

// Columns that are packed together.
template <typename Op>
class PackedColumns {
 public:
  // Of that many elements.
  static size_t Most(size_t count) { return kElements / (StepsOf<Op>(count) * Op::kStep); }
  typename Op::Packed* data() { return reinterpret_cast<typename Op::Packed*>(bytes_); }

 private:
  static constexpr size_t kElements = kColumnBytes / sizeof(typename Op::Packed);
  alignas(64) std::byte bytes_[kColumnBytes];
};

// Columns that are packed whole, in tiles of C. Each of the streams is a part of the rows, one row
// after the other: an odd number of them, for streams that lie multiples of a large power of two
// apart were slower.
template <typename Op, size_t C>
LLAMA_TARGET void MatMulInStreams(const typename Op::W* w, size_t rows, size_t cols,
                                  const typename Op::X* x, size_t n, float* y, size_t y_stride) {
  PackedColumns<Op> packed;
  Pack<Op, C>(x, cols, n, cols, packed.data());
  const size_t most = rows / kStreams;
  const size_t part = most > 1 && most % 2 == 0 ? most - 1 : most;
  BlockProduct<Op> product = {.w = w,
                              .w_stride = part * cols,
                              .x = packed.data(),
                              .count = cols,
                              .block = BlockLength<Op>(cols),
                              .y = y,
                              .y_stride = y_stride,
                              .y_step = part,
                              .add = false,
                              .ahead = nullptr,
                              .ahead_stride = part * cols};
  for (size_t r = 0; r < part; ++r) {
    product.w = w + r * cols;
    product.y = y + r;
    product.ahead = product.w + kStreamAheadBytes / sizeof *w;
    Panel<Op, kStreams, C>(kStreams, n, product);
  }
  const size_t rest = rows - part * kStreams;
  if (rest == 0) return;
  product.w = w + (rows - rest) * cols;
  product.w_stride = cols;
  product.y = y + (rows - rest);
  product.y_step = 1;
  product.ahead = nullptr;
  Panel<Op, kStreams, C>(rest, n, product);
}

// In tiles.
template <typename Op, Tiling T>
LLAMA_TARGET void MatMulInTiles(const typename Op::W* w, size_t rows, size_t cols,
                                const typename Op::X* x, size_t n, float* y, size_t y_stride) {
  PackedColumns<Op> packed;
  const size_t block = BlockLength<Op>(cols);
  const size_t groups = (n + packed.Most(block) - 1) / packed.Most(block);
  for (size_t g = 0; g < groups; ++g) {
    const size_t begin = n * g / groups;
    const size_t columns = n * (g + 1) / groups - begin;
    for (size_t k = 0; k < cols; k += block) {
      const size_t count = std::min(block, cols - k);
      Pack<Op, T.cols>(x + begin * cols + k, cols, columns, count, packed.data());
      for (size_t r = 0; r < rows; r += T.panel_rows) {
        const size_t next = r + T.panel_rows;
        const BlockProduct<Op> panel = {.w = w + r * cols + k,
                                        .w_stride = cols,
                                        .x = packed.data(),
                                        .count = count,
                                        .block = block,
                                        .y = y + begin * y_stride + r,
                                        .y_stride = y_stride,
                                        .y_step = 1,
                                        .add = k > 0,
                                        // The next rows, or the first ones of the next block.
                                        .ahead = next < rows        ? w + next * cols + k
                                                 : k + block < cols ? w + k + block
                                                                    : nullptr,
                                        .ahead_stride = cols};
        const size_t panel_rows = std::min(T.panel_rows, rows - r);
        if constexpr (T.widens && !std::is_same_v<typename Op::Wide, Op>) {
          WidePanel<Op, T>(panel_rows, columns, panel);
        } else {
          Panel<Op, T.rows, T.cols>(panel_rows, columns, panel);
        }
      }
    }
  }
}

template <typename Op>
LLAMA_TARGET void MatMul(const typename Op::W* w, size_t rows, size_t cols, const typename Op::X* x,
                         size_t n, float* y, size_t y_stride) {
  if (n == 0) return;
  const size_t packed_bytes = n * StepsOf<Op>(cols) * Op::kStep * sizeof(typename Op::Packed);
  const bool few = n <= kStreamCols || (n <= kFewCols && packed_bytes <= kStreamBytes);
  if (few && n <= PackedColumns<Op>::Most(cols)) {
    return MatMulInStreams<Op, kStreamCols>(w, rows, cols, x, n, y, y_stride);
  }
  if (n <= kFewCols) return MatMulInTiles<Op, kFewTiles>(w, rows, cols, x, n, y, y_stride);
  MatMulInTiles<Op, kManyTiles>(w, rows, cols, x, n, y, y_stride);
}
