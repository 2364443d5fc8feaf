// No include guard and no includes: a part of each kernels_*.cc, which defines first what tiles.h
// names.

LLAMA_TARGET inline void SetOne(float& value) { value = 1; }
LLAMA_TARGET inline void SetOne(Bf16& value) { value = ToBf16(1); }

// What the speed of kernels is compared with: as many multiply-adds as the registers hold sums for,
// on nothing but registers.
template <typename Op, size_t Sums>
LLAMA_TARGET uint64_t MultiplyAdds(size_t rounds) {
  typename Op::W w[Op::kStep];
  typename Op::Packed x[Op::kStep];
  for (auto& value : w) SetOne(value);
  for (auto& value : x) SetOne(value);
  const auto row = Op::LoadW(w, 0);
  const auto column = Op::LoadX(x);
  Vector sums[Sums];
#pragma GCC unroll 32
  for (size_t i = 0; i < Sums; ++i) sums[i] = Zero();
  for (size_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 32
    for (size_t i = 0; i < Sums; ++i) {
      sums[i] = Op::Step(row, column, sums[i]);
      asm volatile("" : "+v"(sums[i]));  // The compiler would take the rounds together.
    }
  }
  return rounds * Sums * (Op::kStep / Op::kParts);
}

// And as much as can be read: four rows side by side, multiplied by a column that stays in a
// register.
template <typename Op>
LLAMA_TARGET float ReadRows(const void* data, size_t rows, size_t cols) {
  const auto* w = static_cast<const typename Op::W*>(data);
  typename Op::Packed x[Op::kStep];
  for (auto& value : x) SetOne(value);
  const auto column = Op::LoadX(x);
  Vector sums[4] = {Zero(), Zero(), Zero(), Zero()};
  for (size_t r = 0; r + 4 <= rows; r += 4, w += 4 * cols) {
    for (size_t k = 0; k + Op::kStep <= cols; k += Op::kStep) {
#pragma GCC unroll 8
      for (size_t part = 0; part < Op::kParts; ++part) {
#pragma GCC unroll 4
        for (size_t i = 0; i < 4; ++i) {
          sums[i] = Op::Step(Op::LoadW(w + i * cols + k, part), column, sums[i]);
        }
      }
    }
  }
  float y[4];
  StoreSums<4>(sums, y, false);
  return y[0] + y[1] + y[2] + y[3];
}
