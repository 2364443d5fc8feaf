// What drawing a token over Llama 2's 32,000 logits takes, per kind of request. Not a test: run it
// by hand, build/release/tests/services_model_engine_sampler_benchmark
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "benchmark/benchmark.h"
#include "services/model/engine/logprobs.h"
#include "services/model/engine/sampler.h"

namespace llama {
namespace {

std::vector<float> Logits(float deviation) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(-2, deviation);
  std::vector<float> logits(32'000);
  for (float& logit : logits) logit = normal(random);
  return logits;
}

// As a trained model's: most of them far below the best.
std::vector<float> Peaked() {
  std::vector<float> logits = Logits(3);
  logits[17] = 18;
  return logits;
}

// Where almost all may be drawn.
std::vector<float> Flat() { return Logits(0.5F); }

void Draw(benchmark::State& state, const std::vector<float>& logits,
          const SamplingOptions& options) {
  const std::vector<TokenId> tokens(1000, 5);
  Sampler sampler;
  uint64_t seed = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(sampler.Draw(logits, options, {.tokens = tokens, .seed = ++seed}));
  }
}

void Register(const std::string& name, const SamplingOptions& options) {
  benchmark::RegisterBenchmark(("peaked/" + name).c_str(), Draw, Peaked(), options);
  benchmark::RegisterBenchmark(("flat/" + name).c_str(), Draw, Flat(), options);
}

void Report(benchmark::State& state) {
  const std::vector<float> logits = Peaked();
  for (auto _ : state) {
    benchmark::DoNotOptimize(AllFinite(logits));
    benchmark::DoNotOptimize(ReportToken(logits, 17, state.range(0)));
  }
}
BENCHMARK(Report)->Arg(0)->Arg(20);

}  // namespace
}  // namespace llama

int main(int argc, char** argv) {
  using llama::Register;
  Register("greedy", {});
  Register("temperature", {.temperature = 0.8F});
  Register("top_k", {.temperature = 0.8F, .top_k = 40});
  Register("top_k of thousands", {.temperature = 0.8F, .top_k = 5000});
  Register("top_p", {.temperature = 0.8F, .top_p = 0.95F});
  Register("min_p", {.temperature = 0.8F, .min_p = 0.05F});
  Register("all", {.temperature = 1.5F,
                   .top_k = 200,
                   .top_p = 0.95F,
                   .min_p = 0.01F,
                   .repetition_penalty = 1.1F,
                   .frequency_penalty = 0.1F});
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
