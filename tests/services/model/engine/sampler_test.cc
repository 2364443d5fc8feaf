#include "services/model/engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/model/engine/exponentials.h"
#include "services/model/engine/logprobs.h"
#include "services/model/engine/random.h"

namespace llama {
namespace {

using testing::ElementsAre;

// The probabilities that SamplingOptions describe, computed step by step with full sorts.
std::vector<double> Expected(const std::vector<double>& logits, const SamplingOptions& options) {
  std::vector<size_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return logits[a] > logits[b]; });
  std::vector<double> p(logits.size());
  const auto normalize = [&] {
    const double sum = std::accumulate(p.begin(), p.end(), 0.0);
    for (double& value : p) value /= sum;
  };
  for (size_t i = 0; i < p.size(); ++i) {
    p[i] = std::exp((logits[i] - logits[order[0]]) / double{options.temperature});
  }
  if (options.top_k > 0) {
    for (size_t i = static_cast<size_t>(options.top_k); i < order.size(); ++i) p[order[i]] = 0;
  }
  normalize();
  double sum = 0;
  for (const size_t i : order) {
    if (sum >= double{options.top_p}) p[i] = 0;
    sum += p[i];
  }
  normalize();
  for (const size_t i : order) {
    if (p[i] < double{options.min_p} * p[order[0]]) p[i] = 0;
  }
  normalize();
  return p;
}

TEST(SamplerTest, DrawsFollowTheProbabilities) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal(0, 2);
  std::vector<float> logits(50);
  for (float& logit : logits) logit = normal(random);
  for (const SamplingOptions& options :
       {SamplingOptions{.temperature = 1}, SamplingOptions{.temperature = 0.7F, .top_k = 12},
        SamplingOptions{.temperature = 1.5F, .top_p = 0.8F},
        SamplingOptions{.temperature = 1.2F, .min_p = 0.1F},
        SamplingOptions{.temperature = 1.3F, .top_k = 30, .top_p = 0.95F, .min_p = 0.02F}}) {
    const std::vector<double> expected = Expected({logits.begin(), logits.end()}, options);
    constexpr int kDraws = 10'000;
    std::vector<int> counts(logits.size());
    Sampler sampler;
    for (uint64_t seed = 0; seed < kDraws; ++seed) {
      ++counts[sampler.Draw(logits, options, {.tokens = {}, .forbidden = {}, .seed = seed})];
    }
    double chi_square = 0;
    int degrees = -1;
    for (size_t i = 0; i < counts.size(); ++i) {
      if (expected[i] == 0) {
        ASSERT_EQ(counts[i], 0) << "token " << i << " was ruled out";
        continue;
      }
      const double mean = expected[i] * kDraws;
      chi_square += (counts[i] - mean) * (counts[i] - mean) / mean;
      ++degrees;
    }
    // The draws are fixed by their seeds: this cannot fail now and then. 4 standard deviations.
    EXPECT_LT(chi_square, degrees + 4 * std::sqrt(2.0 * degrees));
  }
}

// Whatever the size of the vocabulary and however many logits are equal: the choice in which the
// generator's number falls, by ascending id, or one at whose border it lies but for rounding.
TEST(SamplerTest, DrawsWhatAFullSortWouldLeave) {
  constexpr double kRounding = 1e-9;
  std::mt19937 random(6);
  Sampler sampler;
  for (const size_t size : {1u, 2u, 8u, 63u, 64u, 65u, 1000u, 20'000u}) {
    for (const double deviation : {0.0, 0.1, 3.0}) {
      for (const double step : {0.0, 0.5}) {  // Rounded to multiples of it.
        std::normal_distribution<double> normal(-2, deviation);
        std::vector<float> logits(size);
        for (float& logit : logits) {
          const double value = normal(random);
          logit = static_cast<float>(step == 0 ? value : std::round(value / step) * step);
        }
        for (const SamplingOptions& options :
             {SamplingOptions{.temperature = 0.8F},
              SamplingOptions{.temperature = 0.8F, .top_k = 3},
              SamplingOptions{.temperature = 1.5F, .top_k = 700},
              SamplingOptions{.temperature = 1, .top_k = 15'000},
              SamplingOptions{.temperature = 0.9F, .top_p = 0.1F},
              SamplingOptions{.temperature = 0.9F, .top_p = 0.95F},
              SamplingOptions{.temperature = 1, .min_p = 0.3F},
              SamplingOptions{.temperature = 2, .top_k = 900, .top_p = 0.9F, .min_p = 0.02F}}) {
          const std::vector<double> expected = Expected({logits.begin(), logits.end()}, options);
          for (uint64_t seed = 0; seed < 4; ++seed) {
            const TokenId id = sampler.Draw(logits, options, {.seed = seed});
            const double before =
                std::accumulate(expected.begin(), expected.begin() + ptrdiff_t{id}, 0.0);
            const double uniform = UniformAt(seed, 0);
            ASSERT_GT(expected[id], 0) << size << " logits, token " << id << " was ruled out";
            ASSERT_LT(before, uniform + kRounding) << size;
            ASSERT_GT(before + expected[id], uniform - kRounding) << size;
          }
        }
      }
    }
  }
}

// Options at the ends of their ranges must neither overflow nor leave nothing to draw from.
TEST(SamplerTest, TinyTemperaturesAreGreedy) {
  Sampler sampler;
  const std::vector<float> logits = {1, 30, 7, -30};
  for (const float temperature :
       {1e-3F, 1e-30F, 1e-38F, std::numeric_limits<float>::denorm_min()}) {
    for (uint64_t seed = 0; seed < 20; ++seed) {
      EXPECT_EQ(sampler.Draw(logits, {.temperature = temperature}, {.seed = seed}), 1u)
          << temperature;
      EXPECT_EQ(sampler.Draw(logits, {.temperature = temperature, .top_p = 0.9F, .min_p = 0.1F},
                             {.seed = seed}),
                1u)
          << temperature;
    }
  }
}

TEST(SamplerTest, ExtremePenaltiesKeepTheOrderOfTheLogits) {
  Sampler sampler;
  const std::vector<float> logits = {-3, -2, -4, -5};
  const std::vector<TokenId> all = {0, 1, 2, 3};
  const SamplingOptions harsh = {.temperature = 1,
                                 .repetition_penalty = std::numeric_limits<float>::max()};
  EXPECT_EQ(sampler.Draw(logits, harsh, {.tokens = all, .seed = 1}), 1u);
  const std::vector<float> positive = {3, 5, 4, 1};
  const SamplingOptions generous = {.temperature = 1,
                                    .repetition_penalty = std::numeric_limits<float>::denorm_min()};
  EXPECT_EQ(sampler.Draw(positive, generous, {.tokens = all, .seed = 1}), 1u);
}

// One choice is left, whatever the seed, where an option leaves one.
TEST(SamplerTest, TheStrictestLimitsAreGreedyWithTheLowestIdOfATie) {
  Sampler sampler;
  const std::vector<float> logits = {1, 3, 3, 2};
  for (uint64_t seed = 0; seed < 50; ++seed) {
    EXPECT_EQ(sampler.Draw(logits, {.temperature = 1, .top_k = 1}, {.seed = seed}), 1u);
    EXPECT_EQ(sampler.Draw(logits, {.temperature = 1, .top_p = 1e-6F}, {.seed = seed}), 1u);
    EXPECT_LE(sampler.Draw(logits, {.temperature = 1, .min_p = 1}, {.seed = seed}), 2u);
    EXPECT_GE(sampler.Draw(logits, {.temperature = 1, .min_p = 1}, {.seed = seed}), 1u);
  }
}

TEST(SamplerTest, LimitsBeyondTheVocabularyAreNone) {
  Sampler sampler;
  const std::vector<float> logits = {1, 3, 3, 2};
  const std::vector<TokenId> tokens = {3, 3};
  const int64_t most = std::numeric_limits<int64_t>::max();
  for (uint64_t seed = 0; seed < 50; ++seed) {
    EXPECT_EQ(sampler.Draw(logits, {.temperature = 1, .top_k = most}, {.seed = seed}),
              sampler.Draw(logits, {.temperature = 1}, {.seed = seed}));
    EXPECT_EQ(
        sampler.Draw(logits, {.temperature = 1, .presence_penalty = 1, .penalty_window = most},
                     {.tokens = tokens, .seed = seed}),
        sampler.Draw(logits, {.temperature = 1, .presence_penalty = 1},
                     {.tokens = tokens, .seed = seed}));
  }
}

TEST(SamplerTest, ForbiddenTokensAreNeverDrawn) {
  Sampler sampler;
  const std::vector<float> logits = {50, 0, 50, 0};
  const std::vector<TokenId> forbidden = {0, 2};
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const TokenId id = sampler.Draw(logits, {.temperature = 2, .logit_bias = {{0, 100.0F}}},
                                    {.forbidden = forbidden, .seed = seed});
    EXPECT_TRUE(id == 1 || id == 3) << id;
  }
}

TEST(SamplerTest, GreedyTakesTheLowestIdOfATie) {
  Sampler sampler;
  EXPECT_EQ(sampler.Draw(std::vector<float>{1, 3, 3, 2}, {}, {}), 1u);
  const std::vector<TokenId> forbidden = {1};
  EXPECT_EQ(
      sampler.Draw(std::vector<float>{1, 3, 3, 2}, {}, {.tokens = {}, .forbidden = forbidden}), 2u);
}

TEST(SamplerTest, PenaltiesAndBiasesComeFirst) {
  Sampler sampler;
  const std::vector<float> logits = {2, 1.9F, -1, 0};
  const std::vector<TokenId> tokens = {0, 0, 2};
  EXPECT_EQ(sampler.Draw(logits, {.repetition_penalty = 1.1F}, {.tokens = tokens}), 1u);
  EXPECT_EQ(sampler.Draw(logits, {.presence_penalty = 0.2F}, {.tokens = tokens}), 1u);
  EXPECT_EQ(sampler.Draw(logits, {.frequency_penalty = 0.04F}, {.tokens = tokens}), 0u);
  EXPECT_EQ(sampler.Draw(logits, {.frequency_penalty = 0.06F}, {.tokens = tokens}), 1u);
  EXPECT_EQ(
      sampler.Draw(logits, {.presence_penalty = 0.2F, .penalty_window = 1}, {.tokens = tokens}), 0u)
      << "token 0 lies before the window";
  EXPECT_EQ(sampler.Draw(logits, {.logit_bias = {{2, 100.0F}}}, {.tokens = tokens}), 2u);
}

TEST(SamplerTest, TheDrawDependsOnSeedAndPositionOnly) {
  const std::vector<float> logits(100, 0.0F);
  const std::vector<TokenId> tokens(5, 1);
  const SamplingOptions options = {.temperature = 1};
  Sampler one, two;
  (void)two.Draw(std::vector<float>{1, 2}, options, {.seed = 9});
  EXPECT_EQ(one.Draw(logits, options, {.tokens = tokens, .seed = 4}),
            two.Draw(logits, options, {.tokens = tokens, .seed = 4}));
}

TEST(ExponentialsTest, AreThoseOfTheLibrary) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  std::vector<double> x = {0,   -0.0, 1,      -1,     0.34657,   -0.34658,
                           700, -700, -700.1, -1e300, -kInfinity};
  for (int i = 0; i < 3840; ++i) x.push_back(-720 + 0.37 * i);
  std::vector<double> all(x.size());
  Exponentials(x, 0, 1, all);
  for (size_t i = 0; i < x.size(); ++i) {
    const double expected = x[i] < -700 ? 0 : std::exp(x[i]);
    EXPECT_NEAR(all[i], expected, 1e-13 * expected) << x[i];
    double alone = 0;
    Exponentials({&x[i], 1}, 0, 1, {&alone, 1});
    EXPECT_EQ(alone, all[i]) << "in another place: " << x[i];
  }
  const std::vector<double> y = {3, 4};
  Exponentials(y, 4, 2, std::span(all).first(2));
  EXPECT_NEAR(all[0], std::exp(-2), 1e-15);
  EXPECT_EQ(all[1], 1);
}

// From the known answers that come with the authors' Random123.
TEST(RandomTest, PhiloxGivesTheKnownAnswers) {
  EXPECT_THAT(Philox({0, 0, 0, 0}, {0, 0}),
              ElementsAre(0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8));
  EXPECT_THAT(Philox({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
              ElementsAre(0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd));
}

TEST(LogprobsTest, RanksAndCandidatesFollowTheProbabilities) {
  const std::vector<float> logits = {0, std::log(2.0F), std::log(5.0F), std::log(2.0F)};
  const TokenReport report = ReportToken(logits, 3, 2);
  EXPECT_NEAR(*report.logprob, std::log(0.2), 1e-6);
  EXPECT_EQ(report.rank, 3) << "an equally likely one with a lower id comes before";
  ASSERT_EQ(report.candidates.size(), 2u);
  EXPECT_EQ(report.candidates[0].id, 2u);
  EXPECT_EQ(report.candidates[1].id, 1u);
  EXPECT_NEAR(report.candidates[0].logprob, std::log(0.5), 1e-6);
}

}  // namespace
}  // namespace llama
