#include "services/model/engine/wait_forecast.h"

#include <utility>
#include <vector>

#include "gtest/gtest.h"

namespace llama {
namespace {

// Beside replies, there are ten prompt tokens in a step.
StepCosts Costs() {
  return {.decode_steps = {{0, absl::Milliseconds(100)}, {1, absl::Milliseconds(100)}},
          .prefill_token = absl::Milliseconds(10),
          .prefill_alone = 100,
          .prefill_most = 100};
}

WorkAhead Ahead(std::vector<Work> running, std::vector<Work> waiting = {},
                std::vector<Work> arriving = {}, StepCosts costs = Costs()) {
  return {.seen = absl::UnixEpoch(),
          .running = std::move(running),
          .arriving = std::move(arriving),
          .waiting = std::move(waiting),
          .beginning = 0,
          .costs = std::move(costs)};
}

absl::Duration Forecast(std::vector<Work> running, int64_t places, int64_t tokens = 0,
                        std::vector<Work> waiting = {}) {
  return ForecastWait(Ahead(std::move(running), std::move(waiting)), places, tokens);
}

TEST(WaitForecastTest, PlacesBecomeFreeAsRepliesEnd) {
  const std::vector<Work> running = {{.reply_tokens = 30}, {.reply_tokens = 10}};
  EXPECT_EQ(Forecast(running, 0), absl::ZeroDuration());
  EXPECT_EQ(Forecast(running, 1), absl::Seconds(1));
  EXPECT_EQ(Forecast(running, 2), absl::Seconds(3));
  EXPECT_EQ(Forecast(running, 3), absl::Seconds(4.5)) << "as things went on before";
  EXPECT_EQ(Forecast(running, 3, 0, {{.reply_tokens = 50}}), absl::Seconds(6))
      << "it begins after a second";
}

TEST(WaitForecastTest, PromptsSlowRepliesDown) {
  // 10 steps, beside which 100 of the 1,000 prompt tokens are computed.
  EXPECT_EQ(Forecast({{.reply_tokens = 10}, {.prefill_tokens = 1000}}, 1), absl::Seconds(2));
  // Nine more steps with all that a batch holds.
  EXPECT_EQ(Forecast({{.reply_tokens = 10}, {.prefill_tokens = 1000}}, 2),
            absl::Seconds(2) + 9 * absl::Seconds(1.1));
}

TEST(WaitForecastTest, PromptsTakeTurns) {
  const std::vector<Work> running = {{.prefill_tokens = 1000}, {.prefill_tokens = 100}};
  EXPECT_EQ(Forecast(running, 1), 2 * absl::Seconds(1.1)) << "second in turn";
  EXPECT_EQ(Forecast({running[1], running[0]}, 1), absl::Seconds(1.1));
}

TEST(WaitForecastTest, TokensAreThoseOfAllPrompts) {
  EXPECT_EQ(Forecast({{.prefill_tokens = 300}}, 0, 250), 3 * absl::Seconds(1.1));
  EXPECT_EQ(Forecast({{.prefill_tokens = 100}}, 0, 250, {{.prefill_tokens = 500}}),
            3 * absl::Seconds(1.1));
}

TEST(WaitForecastTest, EachReplyMakesAStepLonger) {
  StepCosts costs = Costs();
  costs.decode_steps = {
      {0, absl::Milliseconds(100)}, {1, absl::Milliseconds(120)}, {3, absl::Milliseconds(200)}};
  const auto forecast = [&](std::vector<Work> running) {
    return ForecastWait(Ahead(std::move(running), {}, {}, costs), 1, 0);
  };
  const Work reply = {.reply_tokens = 10};
  EXPECT_EQ(forecast({reply}), 10 * absl::Milliseconds(120));
  EXPECT_EQ(forecast({reply, reply}), 10 * absl::Milliseconds(160)) << "in proportion";
  EXPECT_EQ(forecast({reply, reply, reply}), 10 * absl::Milliseconds(200));
  EXPECT_EQ(forecast(std::vector<Work>(5, reply)), 10 * absl::Milliseconds(280))
      << "as between the last";
  EXPECT_EQ(forecast({reply, {.prefill_tokens = 1000}}), 10 * absl::Milliseconds(240))
      << "prompts have as much time";
}

TEST(WaitForecastTest, WhoArrivesBeginsAfterTheStepThatIsUnderWay) {
  const auto forecast = [](std::vector<Work> running, std::vector<Work> arriving) {
    return ForecastWait(Ahead(std::move(running), {}, std::move(arriving)), 1, 0);
  };
  EXPECT_EQ(forecast({}, {{.prefill_tokens = 100}}), absl::Seconds(1.1)) << "if there is one";
  EXPECT_EQ(forecast({{.reply_tokens = 50}}, {{.prefill_tokens = 100}}),
            absl::Milliseconds(100) + 10 * absl::Milliseconds(200));
  EXPECT_EQ(forecast({{.reply_tokens = 50}}, {{.reply_tokens = 7}}), 8 * absl::Milliseconds(100));
  EXPECT_EQ(forecast({{.prefill_tokens = 200}}, {{.prefill_tokens = 1000}}), 2 * absl::Seconds(1.1))
      << "of one that ran alone, the first has its turn again";
}

TEST(WaitForecastTest, WhereAllPlacesAreTakenThePlacesAreOfThoseAheadAndOthersLikeTheLast) {
  const auto forecast = [](std::vector<Work> running, std::vector<Work> waiting,
                           const std::vector<Work>& typical, int64_t places) {
    return ForecastWaitWhenFull(Ahead(std::move(running), std::move(waiting)), typical, places);
  };
  const std::vector<Work> typical = {{.reply_tokens = 30}, {.reply_tokens = 10}};
  EXPECT_EQ(forecast({}, {}, typical, 1), absl::Seconds(3));
  EXPECT_EQ(forecast({}, {}, typical, 2), absl::Seconds(1)) << "the first to end";
  EXPECT_EQ(forecast({{.reply_tokens = 5}}, {}, typical, 2), absl::Seconds(0.5));
  EXPECT_EQ(forecast({{.reply_tokens = 50}}, {}, typical, 1), absl::Seconds(5)) << "it is full";
  EXPECT_EQ(forecast({{.reply_tokens = 50}}, {{.reply_tokens = 2}}, typical, 1), absl::Seconds(5));
  EXPECT_EQ(forecast({{.reply_tokens = 50}}, {{.reply_tokens = 2}}, typical, 2),
            3 * absl::Milliseconds(100));
  EXPECT_EQ(forecast({{.reply_tokens = 50}}, {}, {}, 2), absl::Seconds(5)) << "no others are known";
  const std::vector<Work> prompts = {{.prefill_tokens = 100}};
  EXPECT_EQ(forecast({}, {}, prompts, 1), absl::Seconds(1.1));
  EXPECT_EQ(forecast({}, {{.prefill_tokens = 200}}, {{.prefill_tokens = 200}}, 2),
            3 * absl::Seconds(1.1))
      << "in turn";
}

}  // namespace
}  // namespace llama
