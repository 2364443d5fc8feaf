// What drawing a token over Llama 2's 32,000 logits takes, per kind of request. Not a test: run it
// by hand, build/release/tests/services_model_engine_sampler_benchmark
#include <cmath>
#include <random>
#include <vector>

#include "benchmark/benchmark.h"
#include "services/model/engine/logprobs.h"
#include "services/model/engine/sampler.h"

namespace llama {
namespace {

// As a trained model's: most of them far below the best.
std::vector<float> Logits() {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(-2, 3);
  std::vector<float> logits(32'000);
  for (float& logit : logits) logit = normal(random);
  logits[17] = 18;
  return logits;
}

void Draw(benchmark::State& state, const SamplingOptions& options) {
  const std::vector<float> logits = Logits();
  const std::vector<TokenId> tokens(1000, 5);
  Sampler sampler;
  uint64_t seed = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(sampler.Draw(logits, options, {.tokens = tokens, .seed = ++seed}));
  }
}
BENCHMARK_CAPTURE(Draw, greedy, SamplingOptions{});
BENCHMARK_CAPTURE(Draw, temperature, SamplingOptions{.temperature = 0.8F});
BENCHMARK_CAPTURE(Draw, top_k, SamplingOptions{.temperature = 0.8F, .top_k = 40});
BENCHMARK_CAPTURE(Draw, top_p, SamplingOptions{.temperature = 0.8F, .top_p = 0.95F});
BENCHMARK_CAPTURE(Draw, min_p, SamplingOptions{.temperature = 0.8F, .min_p = 0.05F});
BENCHMARK_CAPTURE(Draw, all,
                  SamplingOptions{.temperature = 1.5F,
                                  .top_k = 200,
                                  .top_p = 0.95F,
                                  .min_p = 0.01F,
                                  .repetition_penalty = 1.1F,
                                  .frequency_penalty = 0.1F});

void Report(benchmark::State& state) {
  const std::vector<float> logits = Logits();
  for (auto _ : state) {
    benchmark::DoNotOptimize(AllFinite(logits));
    benchmark::DoNotOptimize(ReportToken(logits, 17, state.range(0)));
  }
}
BENCHMARK(Report)->Arg(0)->Arg(20);

}  // namespace
}  // namespace llama

BENCHMARK_MAIN();
