// No include guard and no includes: a part of kernels_amx_bf16.cc. Products of rows of weights and
// packed columns.

// The columns whose packed blocks stay in the second-level cache while all rows pass by, the
// elements of such a block, and the rows whose sums wait there for the next block.
constexpr size_t kGroupColumns = 256;
constexpr size_t kBlockDepth = 2048;
constexpr size_t kChunkRows = 256;

size_t StepsOf(size_t cols) { return (cols + kDepth - 1) / kDepth; }

// Of each tile of columns, step by step, 16 rows of pairs of elements, a pair of each column: as
// tdpbf16ps takes them. Zeros stand behind the last elements, and after the last columns.
LLAMA_TARGET void Pack(const Bf16* x, size_t cols, size_t n, size_t begin, size_t end,
                       Bf16* packed) {
  if (n == 1) {
    std::memcpy(packed, x, cols * sizeof *x);
    std::fill(packed + cols, packed + PackedLength(1, cols), Bf16{});
    return;
  }
  const size_t width = std::min(n, kTile);
  for (size_t c = begin; c < end; c += kTile) {
    const size_t columns = std::min(kTile, end - c);
    Bf16* out = packed + c * StepsOf(cols) * kDepth;
    for (size_t k = 0; k < cols; k += kDepth) {
      __m512i pairs[kTile];
      if (k + kDepth <= cols) {
        Transpose(x + c * cols + k, cols * sizeof *x, columns, pairs);
      } else {
        Bf16 rest[kTile][kDepth] = {};
        for (size_t i = 0; i < columns; ++i) {
          std::memcpy(rest[i], x + (c + i) * cols + k, (cols - k) * sizeof *x);
        }
        Transpose(rest, sizeof rest[0], columns, pairs);
      }
      for (size_t i = 0; i < kTile; ++i, out += 2 * width) {
        _mm512_mask_storeu_epi32(out, First(width), pairs[i]);
      }
    }
  }
}

// Of a panel, by tile of rows and of columns.
using Sums = float[2][2][kTile][kTile];

// y[c, r] = sums[r, c].
LLAMA_TARGET void StoreColumns(const float (&sums)[kTile][kTile], size_t rows, size_t columns,
                               float* y, size_t y_stride) {
  __m512i by_column[kTile];
  Transpose(sums, sizeof sums[0], kTile, by_column);
  for (size_t c = 0; c < columns; ++c) {
    _mm512_mask_storeu_epi32(y + c * y_stride, First(rows), by_column[c]);
  }
}

// Prefetches a block of rows line by line, some with each step of what is computed meanwhile.
struct RowsAhead {
  const std::byte* line;
  size_t row_lines;
  size_t row_gap;  // Bytes from the end of a row of the block to the next row.
  size_t left;     // Lines.
  size_t per_step;
  size_t done = 0;  // Of the row.

  LLAMA_TARGET void Step() {
    for (size_t i = 0; i < per_step && left > 0; ++i, --left) {
      _mm_prefetch(line, _MM_HINT_T1);
      line += kRowBytes;
      if (++done < row_lines) continue;
      line += row_gap;
      done = 0;
    }
  }
};

// A block of two tiles of rows, or one, and of two tiles of columns, or one.
struct PanelProduct {
  const Bf16* w;
  size_t w_stride;
  // The last step, if it is not whole, of the rows, with zeros behind it: [kPanel, kDepth]. Or
  // null.
  const Bf16* w_end;
  const Bf16* x;
  size_t x_width;   // Columns of a tile.
  size_t x_stride;  // From tile to tile.
  size_t steps;     // That are whole.
  bool add;         // To what the sums are.
};

template <bool TwoRows, bool TwoColumns>
LLAMA_TARGET void Multiply(const PanelProduct& product, RowsAhead& ahead, Sums& sums) {
  const PanelSums panel_sums = {.first = sums[0][0][0],
                                .stride = kTile,
                                .second_rows = 2 * kTile * kTile,
                                .second_columns = kTile * kTile};
  if (product.add) {
    LoadSums<TwoRows, TwoColumns>(panel_sums);
  } else {
    ZeroSums<TwoRows, TwoColumns>();
  }
  RowsAhead next = ahead;
  PanelElements rows = {
      .first = product.w, .stride = product.w_stride, .second = kTile * product.w_stride};
  PanelElements columns = {
      .first = product.x, .stride = 2 * product.x_width, .second = product.x_stride};
  for (size_t s = 0; s < product.steps; ++s) {
    next.Step();
    AddProducts<TwoRows, TwoColumns>(rows, columns);
    rows.first += kDepth;
    columns.first += kDepth * product.x_width;
  }
  ahead = next;
  if (product.w_end != nullptr) {
    AddProducts<TwoRows, TwoColumns>(
        {.first = product.w_end, .stride = kDepth, .second = kTile * kDepth}, columns);
  }
  StoreSums<TwoRows, TwoColumns>(panel_sums);
}

LLAMA_TARGET void Multiply(bool two_rows, bool two_columns, const PanelProduct& product,
                           RowsAhead& ahead, Sums& sums) {
  if (two_rows && two_columns) return Multiply<true, true>(product, ahead, sums);
  if (two_rows) return Multiply<true, false>(product, ahead, sums);
  if (two_columns) return Multiply<false, true>(product, ahead, sums);
  Multiply<false, false>(product, ahead, sums);
}

// A product of rows, and how it is cut.
struct Cut {
  const Bf16* w;
  size_t rows;
  size_t cols;
  const Bf16* x;
  size_t n;
  size_t width;       // Columns of a tile.
  size_t panel_rows;  // At most kPanel.
  float* y;
  size_t y_stride;
};

// Two by two tiles of results, or fewer, at row r and column c.
LLAMA_TARGET void StoreResults(const Cut& cut, size_t r, size_t c, const Sums& sums) {
  for (size_t i = 0; i * kTile < cut.panel_rows && r + i * kTile < cut.rows; ++i) {
    for (size_t j = 0; j < 2 && c + j * kTile < cut.n; ++j) {
      const size_t row = r + i * kTile;
      const size_t column = c + j * kTile;
      StoreColumns(sums[i][j], std::min(kTile, cut.rows - row), std::min(kTile, cut.n - column),
                   cut.y + column * cut.y_stride + row, cut.y_stride);
    }
  }
}

// Steps [begin, end) of the rows from r, against the tiles of columns [first, last). The sums wait
// in `sums`, a place for each pair of tiles, until the last step.
LLAMA_TARGET void Panel(const Cut& cut, size_t r, size_t begin, size_t end, size_t first,
                        size_t last, Sums* sums) {
  const size_t cols = cut.cols;
  const size_t rows = std::min(cut.panel_rows, cut.rows - r);
  const size_t pairs = (last - first + 1) / 2;
  const Bf16* const w = cut.w + r * cols;
  const size_t whole = std::min(end, cols / kDepth);
  alignas(64) Bf16 w_end[kPanel][kDepth] = {};
  if (whole < end) {
    for (size_t i = 0; i < rows; ++i) {
      std::memcpy(w_end[i], w + i * cols + whole * kDepth, (cols - whole * kDepth) * sizeof *w);
    }
  }
  const size_t next_rows = std::min(cut.panel_rows, cut.rows - r - rows);
  RowsAhead ahead = {.line = reinterpret_cast<const std::byte*>(w + rows * cols + begin * kDepth),
                     .row_lines = whole - begin,
                     .row_gap = (cols - (whole - begin) * kDepth) * sizeof *w,
                     .left = next_rows * (whole - begin),
                     .per_step = (next_rows + pairs - 1) / pairs};
  if (rows < cut.panel_rows) ShapePanel(rows, cut.width, cut.width);
  for (size_t p = 0; p < pairs; ++p) {
    const size_t tile = first + 2 * p;
    const bool all = begin == 0 && end == StepsOf(cols);
    Sums& pair_sums = sums[all ? 0 : p];  // None waits: the first-level cache has the same again.
    Multiply(rows > kTile, tile + 1 < last,
             {.w = w + begin * kDepth,
              .w_stride = cols,
              .w_end = whole < end ? w_end[0] : nullptr,
              .x = cut.x + (tile * StepsOf(cols) + begin) * kDepth * cut.width,
              .x_width = cut.width,
              .x_stride = StepsOf(cols) * kDepth * cut.width,
              .steps = whole - begin,
              .add = begin > 0},
             ahead, pair_sums);
    if (end == StepsOf(cols)) StoreResults(cut, r, tile * kTile, pair_sums);
  }
  if (rows < cut.panel_rows) ShapePanel(cut.panel_rows, cut.width, cut.width);
}

LLAMA_TARGET void MatMul(const Bf16* w, size_t rows, size_t cols, const Bf16* x, size_t n, float* y,
                         size_t y_stride) {
  if (n == 0) return;
  alignas(64) Sums sums[kChunkRows / kPanel * (kGroupColumns / kPanel)];
  // A single tile of columns needs not be cut, and memory is waited for: one long stream of rows,
  // of which the next tile's are prefetched.
  const bool single = n <= kTile;
  const Cut cut = {.w = w,
                   .rows = rows,
                   .cols = cols,
                   .x = x,
                   .n = n,
                   .width = std::min(n, kTile),
                   .panel_rows = single ? kTile : kPanel,
                   .y = y,
                   .y_stride = y_stride};
  const size_t steps = StepsOf(cols);
  const size_t blocks = single ? 1 : (steps * kDepth + kBlockDepth - 1) / kBlockDepth;
  const size_t tiles = (n + kTile - 1) / kTile;
  const size_t groups = (n + kGroupColumns - 1) / kGroupColumns;
  ShapePanel(cut.panel_rows, cut.width, cut.width);
  for (size_t g = 0; g < groups; ++g) {
    const size_t first = tiles * g / groups;
    const size_t last = tiles * (g + 1) / groups;
    const size_t pairs = (last - first + 1) / 2;
    for (size_t chunk = 0; chunk < rows; chunk += kChunkRows) {
      for (size_t b = 0; b < blocks; ++b) {
        for (size_t r = chunk; r < std::min(rows, chunk + kChunkRows); r += cut.panel_rows) {
          Panel(cut, r, steps * b / blocks, steps * (b + 1) / blocks, first, last,
                sums + (r - chunk) / cut.panel_rows * pairs);
        }
      }
    }
  }
  Release();
}
