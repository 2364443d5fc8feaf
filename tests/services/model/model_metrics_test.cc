#include "services/model/model_metrics.h"

#include <map>
#include <string>

#include "gtest/gtest.h"

namespace llama {
namespace {

TEST(ModelMetricsTest, StepsAndWaitsAreHistogramsInSecondsAndTokens) {
  prometheus::Registry registry;
  ModelMetrics metrics(registry);
  StepRecord step;
  step.duration = absl::Milliseconds(250);
  step.prefill_tokens = 60;
  step.decode_tokens = 4;
  step.sequences = 5;
  metrics.ObserveStep(step, {.queue = {absl::Seconds(1), absl::Seconds(2)},
                             .first_tokens = {absl::Seconds(4)},
                             .gaps = {absl::Milliseconds(500), absl::Milliseconds(500)}});
  std::map<std::string, std::pair<uint64_t, double>> seen;  // Counts and sums.
  for (const prometheus::MetricFamily& family : registry.Collect()) {
    const auto& histogram = family.metric.at(0).histogram;
    seen[family.name] = {histogram.sample_count, histogram.sample_sum};
  }
  const std::map<std::string, std::pair<uint64_t, double>> expected = {
      {"lnb_model_step_duration_seconds", {1, 0.25}},
      {"lnb_model_step_tokens", {1, 64}},
      {"lnb_model_step_sequences", {1, 5}},
      {"lnb_model_queue_wait_seconds", {2, 3}},
      {"lnb_model_time_to_first_token_seconds", {1, 4}},
      {"lnb_model_token_gap_seconds", {2, 1}}};
  EXPECT_EQ(seen, expected);
}

TEST(ModelMetricsTest, BeforeTheModelIsLoadedNothingIsSaidOfIt) {
  prometheus::Registry registry;
  EXPECT_TRUE(ModelMetrics(registry).Collect().empty());
}

}  // namespace
}  // namespace llama
