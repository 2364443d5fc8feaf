#include "services/model/engine/exponentials.h"

#include <bit>
#include <cassert>
#include <cstddef>
#include <cstdint>

namespace llama {
namespace {

// Without branches, tables and library calls, so that the compiler makes vectors of it.
[[gnu::always_inline]] inline double Exponential(double x) {
  // Adding this much rounds to an integer, which is then in the lowest bits.
  constexpr double kRounder = 0x1.8p52;
  const double shifted = x * 0x1.71547652b82fep0 + kRounder;  // 1 / ln 2
  const double n = shifted - kRounder;
  // ln 2 in two parts (Cody and Waite): the first has few digits, so that its multiples are exact.
  const double rest = x - n * 0x1.62e42feep-1 - n * 0x1.a39ef35793c76p-33;
  // The Taylor series up to x^11 / 11!, enough for |rest| <= ln 2 / 2.
  double sum = 1.0 / 39916800;
  sum = sum * rest + 1.0 / 3628800;
  sum = sum * rest + 1.0 / 362880;
  sum = sum * rest + 1.0 / 40320;
  sum = sum * rest + 1.0 / 5040;
  sum = sum * rest + 1.0 / 720;
  sum = sum * rest + 1.0 / 120;
  sum = sum * rest + 1.0 / 24;
  sum = sum * rest + 1.0 / 6;
  sum = sum * rest + 1.0 / 2;
  sum = sum * rest + 1;
  sum = sum * rest + 1;
  const uint64_t power = (std::bit_cast<uint64_t>(shifted) + 1023) << 52;  // 2^n
  const double result = sum * std::bit_cast<double>(power);
  // A mask: GCC makes a branch of `?:`.
  const uint64_t kept = -static_cast<uint64_t>(x >= -700);
  return std::bit_cast<double>(std::bit_cast<uint64_t>(result) & kept);
}

[[gnu::always_inline]] inline void ComputeAll(std::span<const double> x, double shift,
                                              double factor, std::span<double> out) {
  for (size_t i = 0; i < x.size(); ++i) out[i] = Exponential((x[i] - shift) * factor);
}

#if defined(__x86_64__)
// Without fused multiply-adds, which would round differently.
[[gnu::target("avx2")]] void ComputeAllWithAvx2(std::span<const double> x, double shift,
                                                double factor, std::span<double> out) {
  ComputeAll(x, shift, factor, out);
}
#endif

}  // namespace

void Exponentials(std::span<const double> x, double shift, double factor, std::span<double> out) {
  assert(out.size() == x.size());
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) return ComputeAllWithAvx2(x, shift, factor, out);
#endif
  ComputeAll(x, shift, factor, out);
}

}  // namespace llama
