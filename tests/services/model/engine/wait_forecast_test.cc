#include "services/model/engine/wait_forecast.h"

#include <vector>

#include "gtest/gtest.h"

namespace llama {
namespace {

absl::Duration Forecast(std::vector<Work> running, int64_t places, int64_t tokens = 0,
                        std::vector<Work> waiting = {}) {
  return ForecastWait({.seen = absl::UnixEpoch(),
                       .running = std::move(running),
                       .waiting = std::move(waiting),
                       .beginning = 0,
                       .costs = {.decode_step = absl::Milliseconds(100),
                                 .prefill_token = absl::Milliseconds(10),
                                 .prefill_budget = 10,
                                 .prefill_alone = 100}},
                      places, tokens);
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

}  // namespace
}  // namespace llama
