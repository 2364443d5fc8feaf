// No include guard and no includes: a part of each kernels_*.cc, which defines first
//   LLAMA_TARGET   the attribute of its instruction set, without which nothing here may be
//   compiled; Vector, kLanes, Zero(), Broadcast(f), Add, Sub, Mul, Div, Min, Max(a, b), Fma(a, b,
//   sum), Load(p), LoadFirst(p, n) (zeros behind), Store(p, v), StoreFirst(p, n, v): float32 lanes,
//   which Load and Store widen from, or round to, what p points to; RoundToInt(v); Scale2(v, n): v
//   * 2^n for n from -126 to 127; ZeroBelow(limit, x, v): v where x is not below the limit; Sum(v),
//   Most(v): of all lanes.
// The result for an element does not depend on its place.

// e^x, within 2 units in the last place; 0 below -87, e^88 above 88. NaN stays NaN: Max and Min
// return their second argument then.
LLAMA_TARGET inline Vector Exp(Vector x) {
  const Vector in_range = Min(Broadcast(88.0F), Max(Broadcast(-88.0F), x));
  const Vector n = RoundToInt(Mul(in_range, Broadcast(1.44269504F)));  // 1 / ln 2
  // ln 2 in two parts (Cody and Waite): the first has few digits, so that its multiples are exact.
  Vector rest = Fma(n, Broadcast(-0.693359375F), in_range);
  rest = Fma(n, Broadcast(2.12194440e-4F), rest);
  // The Taylor series up to x^7 / 7!, enough for |rest| <= ln 2 / 2.
  Vector sum = Broadcast(1.0F / 5040);
  sum = Fma(sum, rest, Broadcast(1.0F / 720));
  sum = Fma(sum, rest, Broadcast(1.0F / 120));
  sum = Fma(sum, rest, Broadcast(1.0F / 24));
  sum = Fma(sum, rest, Broadcast(1.0F / 6));
  sum = Fma(sum, rest, Broadcast(1.0F / 2));
  sum = Fma(sum, rest, Broadcast(1.0F));
  sum = Fma(sum, rest, Broadcast(1.0F));
  return ZeroBelow(-87.0F, x, Scale2(sum, n));
}

LLAMA_TARGET inline Vector Silu(Vector x) {
  return Div(x, Add(Broadcast(1.0F), Exp(Sub(Zero(), x))));
}

template <typename T>
LLAMA_TARGET float Softmax(const float* scores, size_t count, float scale, T* out,
                           NextBlocks<T>& next) {
  size_t i = 0;
  Vector most = Broadcast(scores[0]);
  for (; i + kLanes <= count; i += kLanes) most = Max(most, Load(scores + i));
  float greatest = Most(most);
  for (; i < count; ++i) greatest = std::max(greatest, scores[i]);
  Vector sum = Zero();
  const Vector shift = Broadcast(greatest);
  const Vector factor = Broadcast(scale);
  for (i = 0; i + kLanes <= count; i += kLanes) {
    const Vector value = Exp(Mul(Sub(Load(scores + i), shift), factor));
    Store(out + i, value);
    sum = Add(sum, value);
    next.PrefetchLine();
  }
  float total = Sum(sum);
  if (i < count) {
    float last[kLanes] = {};
    StoreFirst(last, count - i, Exp(Mul(Sub(LoadFirst(scores + i, count - i), shift), factor)));
    StoreFirst(out + i, count - i, Load(last));
    total += Sum(Load(last));
  }
  return total;
}

template <typename T>
LLAMA_TARGET void SiluMul(const float* gate, const float* up, size_t count, T* out) {
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    Store(out + i, Mul(Silu(Load(gate + i)), Load(up + i)));
  }
  if (i < count) {
    StoreFirst(out + i, count - i,
               Mul(Silu(LoadFirst(gate + i, count - i)), LoadFirst(up + i, count - i)));
  }
}

template <typename W, typename T>
LLAMA_TARGET void RmsNorm(const float* x, const W* weight, size_t count, double epsilon, T* out) {
  Vector sum = Zero();
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) sum = Fma(Load(x + i), Load(x + i), sum);
  if (i < count) {
    const Vector rest = LoadFirst(x + i, count - i);
    sum = Fma(rest, rest, sum);
  }
  const double mean = double{Sum(sum)} / static_cast<double>(count);
  const Vector scale = Broadcast(static_cast<float>(1 / std::sqrt(mean + epsilon)));
  for (i = 0; i + kLanes <= count; i += kLanes) {
    Store(out + i, Mul(Mul(Load(x + i), scale), Load(weight + i)));
  }
  if (i < count) {
    StoreFirst(out + i, count - i,
               Mul(Mul(LoadFirst(x + i, count - i), scale), LoadFirst(weight + i, count - i)));
  }
}

LLAMA_TARGET void Round(const float* values, size_t count, Bf16* out) {
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) Store(out + i, Load(values + i));
  if (i < count) StoreFirst(out + i, count - i, LoadFirst(values + i, count - i));
}
