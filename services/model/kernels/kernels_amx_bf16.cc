#if defined(__x86_64__)
#include <immintrin.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "services/model/kernels/kernels_isa.h"

// Products of bf16 with tdpbf16ps of Intel AMX ("Intel Architecture Instruction Set Extensions
// Programming Reference", 319433). A register holds a tile of 16 rows of 64 bytes; the instruction
// adds to 16 by 16 sums the products of 16 rows of 32 weights, which lie as they do in memory, and
// 16 packed columns. Its sums go over the even and the odd elements in order, are added to one
// another and then to what was there, whatever else is in the tiles. Denormals, in and out, are
// taken for zero.
//
// All else is done with AVX-512.
#define LLAMA_TARGET [[gnu::target("amx-tile,amx-bf16,avx512f,avx512bw,avx512vl")]]

namespace llama {
namespace {

#include "services/model/kernels/avx512_lanes.h"
// Needs the names of that one.
#include "services/model/kernels/amx_tiles.h"
// And these of both.
#include "services/model/kernels/amx_attention.h"
#include "services/model/kernels/amx_products.h"

LLAMA_TARGET uint64_t MultiplyAdds(size_t rounds) {
  ShapePanel(kPanel, kTile, kTile);
  for (size_t i = 0; i < rounds; ++i) {
    MultiplyAdd<0, 4, 6>();
    MultiplyAdd<1, 4, 7>();
    MultiplyAdd<2, 5, 6>();
    MultiplyAdd<3, 5, 7>();
  }
  Release();
  return rounds * 4 * kTile * kTile * kDepth;
}

}  // namespace

Kernels AmxBf16Kernels() {
  Kernels kernels = kAvx512Bf16Kernels;
  kernels.name = "amx_bf16";
  kernels.pack_bf16 = Pack;
  kernels.mat_mul_bf16 = MatMul;
  kernels.scores_bf16 = Scores;
  kernels.weighted_sum_bf16 = WeightedSum;
  kernels.multiply_adds_bf16 = MultiplyAdds;
  return kernels;
}

}  // namespace llama
#endif  // __x86_64__
