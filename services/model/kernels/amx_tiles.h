// No include guard and no includes: a part of kernels_amx_bf16.cc. The tiles of AMX: registers of
// 16 rows of 64 bytes, and what is done with them.

constexpr size_t kTile = 16;           // Rows of a tile, and sums in each of them.
constexpr size_t kDepth = kPackDepth;  // Elements of a row of a tile.
constexpr size_t kRowBytes = 64;       // Of a tile.
constexpr size_t kPanel = 2 * kTile;   // Rows, and columns, that are computed together.
static_assert(kPackColumns == kTile);

// The instructions. g++ 12 has intrinsics of them, which do not tell it what memory they read.
LLAMA_TARGET inline void Configure(const void* shapes) {
  asm volatile("ldtilecfg (%0)" : : "r"(shapes) : "memory");
}
LLAMA_TARGET inline void Release() { asm volatile("tilerelease"); }
template <int Tile>
LLAMA_TARGET inline void Zero() {
  asm volatile("tilezero %%tmm%c0" : : "i"(Tile));
}
template <int Tile>
LLAMA_TARGET inline void Load(const void* from, size_t row_stride) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2"
               :
               : "r"(from), "r"(row_stride), "i"(Tile)
               : "memory");
}
template <int Tile>
LLAMA_TARGET inline void Store(void* to, size_t row_stride) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(to), "r"(row_stride), "i"(Tile) : "memory");
}
template <int Sums, int Rows, int Columns>
LLAMA_TARGET inline void MultiplyAdd() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(Sums), "i"(Rows), "i"(Columns));
}

// The shapes of the eight registers; one without rows or columns is not used.
struct alignas(64) TileShapes {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};

  void Set(size_t tile, size_t tile_rows, size_t tile_row_bytes) {
    if (tile_rows == 0 || tile_row_bytes == 0) return;
    rows[tile] = static_cast<uint8_t>(tile_rows);
    row_bytes[tile] = static_cast<uint16_t>(tile_row_bytes);
  }
};

// Two by two tiles of sums in 0 to 3, tiles of rows in 4 and 5, tiles of columns in 6 and 7: for
// `rows` rows, at most kPanel, and for columns of `low` and of `high` in a tile, at most kTile
// each, of kDepth elements. Zeroes all.
LLAMA_TARGET void ShapePanel(size_t rows, size_t low, size_t high) {
  TileShapes shapes;
  for (const size_t i : {0, 1}) {
    const size_t tile_rows = i == 0 ? std::min(rows, kTile) : rows - std::min(rows, kTile);
    shapes.Set(2 * i, tile_rows, low * sizeof(float));
    shapes.Set(2 * i + 1, tile_rows, high * sizeof(float));
    shapes.Set(4 + i, tile_rows, kRowBytes);
  }
  shapes.Set(6, kTile, low * 2 * sizeof(Bf16));
  shapes.Set(7, kTile, high * 2 * sizeof(Bf16));
  Configure(&shapes);
}

// A panel's sums, float32, in memory: rows `stride` apart, the second tile of rows and that of
// columns so many elements after the first.
struct PanelSums {
  float* first;
  size_t stride;
  size_t second_rows;
  size_t second_columns;
};

template <bool TwoRows, bool TwoColumns>
LLAMA_TARGET inline void ZeroSums() {
  Zero<0>();
  if constexpr (TwoColumns) Zero<1>();
  if constexpr (TwoRows) Zero<2>();
  if constexpr (TwoRows && TwoColumns) Zero<3>();
}
template <bool TwoRows, bool TwoColumns>
LLAMA_TARGET inline void LoadSums(const PanelSums& sums) {
  const size_t stride = sums.stride * sizeof(float);
  const float* const second = sums.first + sums.second_rows;
  Load<0>(sums.first, stride);
  if constexpr (TwoColumns) Load<1>(sums.first + sums.second_columns, stride);
  if constexpr (TwoRows) Load<2>(second, stride);
  if constexpr (TwoRows && TwoColumns) Load<3>(second + sums.second_columns, stride);
}
template <bool TwoRows, bool TwoColumns>
LLAMA_TARGET inline void StoreSums(const PanelSums& sums) {
  const size_t stride = sums.stride * sizeof(float);
  float* const second = sums.first + sums.second_rows;
  Store<0>(sums.first, stride);
  if constexpr (TwoColumns) Store<1>(sums.first + sums.second_columns, stride);
  if constexpr (TwoRows) Store<2>(second, stride);
  if constexpr (TwoRows && TwoColumns) Store<3>(second + sums.second_columns, stride);
}

// Elements of a panel's rows or columns: tiles whose rows are `stride` apart, the second tile so
// many elements after the first.
struct PanelElements {
  const Bf16* first;
  size_t stride;
  size_t second;
};

// Adds the products of kDepth elements to the sums of a panel, of one tile of rows or two and one
// tile of columns or two. A register that has served is zeroed, which costs nothing, so that the
// processor can rename it: while another program runs on the core, half of them are taken, and
// products that waited for registers were 40 % slower.
template <bool TwoRows, bool TwoColumns>
LLAMA_TARGET inline void AddProducts(const PanelElements& rows, const PanelElements& columns) {
  const size_t row_stride = rows.stride * sizeof(Bf16);
  const size_t column_stride = columns.stride * sizeof(Bf16);
  Load<4>(rows.first, row_stride);
  Load<6>(columns.first, column_stride);
  MultiplyAdd<0, 4, 6>();
  if constexpr (TwoColumns) {
    Load<7>(columns.first + columns.second, column_stride);
    MultiplyAdd<1, 4, 7>();
  }
  Zero<4>();
  if constexpr (TwoRows) {
    Load<5>(rows.first + rows.second, row_stride);
    MultiplyAdd<2, 5, 6>();
    if constexpr (TwoColumns) MultiplyAdd<3, 5, 7>();
    Zero<5>();
  }
  Zero<6>();
  if constexpr (TwoColumns) Zero<7>();
}

constexpr __mmask8 kAll8 = 0xFF;  // As kAll.

// Rows of 16 elements of four bytes, `stride` bytes apart, with rows and columns exchanged. Only
// the first n rows are read, the others are zero.
LLAMA_TARGET inline void Transpose(const void* rows, size_t stride, size_t n,
                                   __m512i (&out)[kTile]) {
  __m512i a[kTile];
  __m512i b[kTile];
#pragma GCC unroll 16
  for (size_t i = 0; i < kTile; ++i) {
    a[i] = i < n ? _mm512_loadu_si512(static_cast<const std::byte*>(rows) + i * stride)
                 : _mm512_setzero_si512();
  }
#pragma GCC unroll 8
  for (size_t i = 0; i < kTile; i += 2) {
    b[i] = _mm512_maskz_unpacklo_epi32(kAll, a[i], a[i + 1]);
    b[i + 1] = _mm512_maskz_unpackhi_epi32(kAll, a[i], a[i + 1]);
  }
#pragma GCC unroll 4
  for (size_t i = 0; i < kTile; i += 4) {
    a[i] = _mm512_maskz_unpacklo_epi64(kAll8, b[i], b[i + 2]);
    a[i + 1] = _mm512_maskz_unpackhi_epi64(kAll8, b[i], b[i + 2]);
    a[i + 2] = _mm512_maskz_unpacklo_epi64(kAll8, b[i + 1], b[i + 3]);
    a[i + 3] = _mm512_maskz_unpackhi_epi64(kAll8, b[i + 1], b[i + 3]);
  }
  // Now quarter q of a[4 g + c] is column 4 q + c of the four rows from 4 g.
#pragma GCC unroll 4
  for (size_t c = 0; c < 4; ++c) {
    const __m512i even_low = _mm512_maskz_shuffle_i32x4(kAll, a[c], a[4 + c], 0x88);
    const __m512i odd_low = _mm512_maskz_shuffle_i32x4(kAll, a[c], a[4 + c], 0xDD);
    const __m512i even_high = _mm512_maskz_shuffle_i32x4(kAll, a[8 + c], a[12 + c], 0x88);
    const __m512i odd_high = _mm512_maskz_shuffle_i32x4(kAll, a[8 + c], a[12 + c], 0xDD);
    out[c] = _mm512_maskz_shuffle_i32x4(kAll, even_low, even_high, 0x88);
    out[4 + c] = _mm512_maskz_shuffle_i32x4(kAll, odd_low, odd_high, 0x88);
    out[8 + c] = _mm512_maskz_shuffle_i32x4(kAll, even_low, even_high, 0xDD);
    out[12 + c] = _mm512_maskz_shuffle_i32x4(kAll, odd_low, odd_high, 0xDD);
  }
}
