// The single kernels of each instruction set: bytes of weights, keys or values per second and
// floating-point operations per second, on one thread. Not a test: run it by hand,
// build/release/tests/services_model_kernels_kernels_benchmark --benchmark_filter=avx512
#include <algorithm>
#include <string>
#include <vector>

#include "benchmark/benchmark.h"
#include "services/model/kernels/kernels.h"
#include "services/model/transformer/aligned_vector.h"

namespace llama {
namespace {

constexpr size_t kWeightBytes = size_t{256}
                                << 20;  // Larger than the caches: each round reads others.

void Report(benchmark::State& state, double bytes, double flops) {
  using Counter = benchmark::Counter;
  state.counters["bytes"] =
      Counter(bytes, Counter::kIsIterationInvariantRate, Counter::OneK::kIs1000);
  state.counters["FLOP"] =
      Counter(flops, Counter::kIsIterationInvariantRate, Counter::OneK::kIs1000);
}

const AlignedVector<Bf16>& Weights() {
  static const auto& weights = *new AlignedVector<Bf16>(kWeightBytes / sizeof(Bf16), ToBf16(0.01F));
  return weights;
}

void MatMul(benchmark::State& state, const Kernels& kernels, size_t cols) {
  const auto n = static_cast<size_t>(state.range(0));
  const size_t rows = std::max<size_t>(96, (size_t{4} << 20) / (cols * sizeof(Bf16)));
  const size_t matrices = Weights().size() / (rows * cols);
  const AlignedVector<Bf16> x(n * cols, ToBf16(0.5F));
  AlignedVector<Bf16> packed(PackedLength(n, cols));
  if (kernels.pack_bf16 != nullptr) kernels.pack_bf16(x.data(), cols, n, 0, n, packed.data());
  const Bf16* const columns = kernels.pack_bf16 != nullptr ? packed.data() : x.data();
  AlignedVector<float> y(n * rows);
  size_t i = 0;
  for (auto _ : state) {
    kernels.mat_mul_bf16(Weights().data() + i++ % matrices * rows * cols, rows, cols, columns, n,
                         y.data(), rows);
    benchmark::ClobberMemory();
  }
  Report(state, static_cast<double>(rows * cols * sizeof(Bf16)),
         2.0 * static_cast<double>(rows * cols * n));
}

constexpr size_t kPositions = 4096;

std::vector<const Bf16*> Blocks(size_t dim) {
  std::vector<const Bf16*> blocks;
  for (size_t t = 0; t < kPositions; t += kKeyTokens) blocks.push_back(Weights().data() + t * dim);
  return blocks;
}

void AttentionScores(benchmark::State& state, const Kernels& kernels, size_t dim) {
  const auto n = static_cast<size_t>(state.range(0));
  const AlignedVector<Bf16> queries(n * dim, ToBf16(0.5F));
  AlignedVector<float> scores(n * (kPositions + 16));
  const std::vector<const Bf16*> blocks = Blocks(dim);
  for (auto _ : state) {
    kernels.scores_bf16(blocks.data(), blocks.size(), dim, queries.data(), n, scores.data(),
                        kPositions + 16);
    benchmark::ClobberMemory();
  }
  Report(state, static_cast<double>(kPositions * dim * sizeof(Bf16)),
         2.0 * static_cast<double>(kPositions * dim * n));
}

void AttentionSums(benchmark::State& state, const Kernels& kernels, size_t dim) {
  const auto n = static_cast<size_t>(state.range(0));
  const AlignedVector<Bf16> weights(n * (kPositions + 16), ToBf16(0.5F));
  AlignedVector<float> out(n * dim);
  const std::vector<const Bf16*> blocks = Blocks(dim);
  for (auto _ : state) {
    kernels.weighted_sum_bf16(blocks.data(), kPositions, dim, weights.data(), kPositions + 16, n,
                              out.data());
    benchmark::ClobberMemory();
  }
  Report(state, static_cast<double>(kPositions * dim * sizeof(Bf16)),
         2.0 * static_cast<double>(kPositions * dim * n));
}

void Softmax(benchmark::State& state, const Kernels& kernels) {
  const AlignedVector<float> scores(kPositions, 0.5F);
  AlignedVector<Bf16> weights(kPositions);
  NextBlocks<Bf16> none;
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        kernels.softmax_bf16(scores.data(), kPositions, 0.1F, weights.data(), none));
  }
  Report(state, static_cast<double>(kPositions * sizeof(float)), 0);
}

void SiluMul(benchmark::State& state, const Kernels& kernels) {
  const AlignedVector<float> gate(kPositions, 0.5F);
  AlignedVector<Bf16> out(kPositions);
  for (auto _ : state) {
    kernels.silu_mul_bf16(gate.data(), gate.data(), kPositions, out.data());
    benchmark::ClobberMemory();
  }
  Report(state, static_cast<double>(2 * kPositions * sizeof(float)), 0);
}

void RmsNorm(benchmark::State& state, const Kernels& kernels) {
  const AlignedVector<float> x(kPositions, 0.5F);
  AlignedVector<Bf16> out(kPositions);
  Weights();
  for (auto _ : state) {
    kernels.rms_norm_bf16(x.data(), Weights().data(), kPositions, 1e-5, out.data());
    benchmark::ClobberMemory();
  }
  Report(state, static_cast<double>(kPositions * sizeof(float)), 0);
}

void Read(benchmark::State& state, const Kernels& kernels) {
  constexpr size_t kCols = size_t{256} << 10;
  Weights();  // Written before the time is taken.
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        kernels.read_rows_bf16(Weights().data(), Weights().size() / kCols, kCols));
  }
  Report(state, static_cast<double>(kWeightBytes), 0);
}

void MultiplyAdds(benchmark::State& state, const Kernels& kernels) {
  uint64_t count = 0;
  for (auto _ : state) count = kernels.multiply_adds_bf16(1000);
  Report(state, 0, 2.0 * static_cast<double>(count));
}

void RegisterAll() {
  for (const Kernels* const kernels : SupportedKernels()) {
    const std::string name = kernels->name;
    const auto add = [&](const std::string& what, auto function, auto... arguments) {
      return benchmark::RegisterBenchmark(
          (name + "/" + what).c_str(),
          [=](benchmark::State& state) { function(state, *kernels, arguments...); });
    };
    add("limit_read", Read);
    add("limit_multiply_adds", MultiplyAdds);
    for (const size_t cols : {2048, 5632, 4096, 11008}) {
      add("mat_mul_" + std::to_string(cols), MatMul, cols)
          ->ArgsProduct({{1, 2, 4, 8, 16, 32, 64, 128, 512}});
    }
    for (const size_t dim : {64, 128}) {
      add("scores_" + std::to_string(dim), AttentionScores, dim)->ArgsProduct({{1, 8, 32}});
      add("weighted_sum_" + std::to_string(dim), AttentionSums, dim)->ArgsProduct({{1, 8, 32}});
    }
    add("softmax", Softmax);
    add("silu_mul", SiluMul);
    add("rms_norm", RmsNorm);
  }
}

}  // namespace
}  // namespace llama

int main(int argc, char** argv) {
  llama::RegisterAll();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
