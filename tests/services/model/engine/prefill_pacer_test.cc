#include "services/model/engine/prefill_pacer.h"

#include <algorithm>
#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace llama {
namespace {

// A machine on which a step takes `base`, and `per_token` more for each of its tokens.
struct Machine {
  absl::Duration base;
  absl::Duration per_token;
  absl::Duration Step(int64_t tokens) const { return base + per_token * tokens; }
};

// Whatever the machine, no step that replies are in takes more than three times as long as the
// replies alone, and prompts get about half of the time.
TEST(PrefillPacerTest, NoReplyStallsForAPromptOnAnyMachine) {
  for (const Machine& machine :
       {Machine{absl::Milliseconds(150), absl::Milliseconds(5)},   // Memory is the limit.
        Machine{absl::Milliseconds(1), absl::Milliseconds(10)},    // Arithmetic is.
        Machine{absl::Microseconds(300), absl::Microseconds(10)},  // A tiny model.
        Machine{absl::Milliseconds(30), absl::Microseconds(20)}}) {
    for (const int64_t decodes : {1, 8, 32}) {
      PrefillPacer pacer(512);
      const absl::Duration alone = machine.Step(decodes);
      absl::Duration spent;
      int64_t left = 40'000;
      int64_t steps = 0;
      for (; left > 0 && steps < 50'000; ++steps) {
        const int64_t prefill = std::min(pacer.Budget(decodes), left);
        const absl::Duration step = machine.Step(decodes + prefill);
        EXPECT_LE(step, 3 * alone) << prefill;
        pacer.Record(step, decodes, prefill);
        left -= prefill;
        spent += step;
      }
      EXPECT_EQ(left, 0);
      const absl::Duration least = machine.per_token * 40'000;
      EXPECT_LE(spent, 2.3 * least + 81 * alone) << "decodes " << decodes;
    }
  }
}

TEST(PrefillPacerTest, StepsOfSeveralNumbersOfRepliesAreRemembered) {
  const Machine machine = {absl::Milliseconds(220), absl::Milliseconds(13)};
  PrefillPacer pacer(512);
  EXPECT_EQ(pacer.decode_steps().size(), 0u);
  for (const int64_t decodes : {16, 15, 1, 2, 1}) {
    for (int i = 0; i < 3; ++i) pacer.Record(machine.Step(decodes), decodes, 0);
  }
  const std::vector<DecodeStep> steps = pacer.decode_steps();
  ASSERT_EQ(steps.size(), 4u);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(steps[i].replies, (std::vector<int64_t>{1, 2, 15, 16})[i]);
    EXPECT_EQ(steps[i].time, machine.Step(steps[i].replies));
  }
}

// Where nobody waits for the next token, prompts have whole steps, as large as they may be without
// keeping all others waiting for their progress.
TEST(PrefillPacerTest, AStepOfPromptsAloneIsBelowASecond) {
  for (const Machine& machine :
       {Machine{absl::Milliseconds(220), absl::Milliseconds(13)},  // 7 B weights on two cores.
        Machine{absl::Milliseconds(30), absl::Milliseconds(3)},
        Machine{absl::Milliseconds(1), absl::Microseconds(10)}}) {
    PrefillPacer pacer(512);
    EXPECT_EQ(pacer.Budget(0), 64) << "the speed is not known";
    int64_t left = 10'000;
    for (int step = 0; left > 0; ++step) {
      const int64_t prefill = std::min(pacer.Budget(0), left);
      if (step > 0) {
        EXPECT_LE(machine.Step(prefill), absl::Seconds(0.85)) << prefill;
      }
      if (step > 2 && pacer.Budget(0) < 512) {
        EXPECT_GE(machine.Step(pacer.Budget(0)), absl::Seconds(0.7)) << prefill;
      }
      pacer.Record(machine.Step(prefill), 0, prefill);
      left -= prefill;
    }
    const int64_t budget = pacer.Budget(0);
    pacer.Record(machine.Step(3), 0, 3);  // The rest of a prompt.
    EXPECT_EQ(pacer.Budget(0), budget);
  }
}

TEST(PrefillPacerTest, AHiccupChangesLittle) {
  const Machine machine = {absl::Milliseconds(150), absl::Milliseconds(5)};
  PrefillPacer pacer(512);
  for (int step = 0; step < 20; ++step) {
    pacer.Record(machine.Step(8 + pacer.Budget(8)), 8, pacer.Budget(8));
  }
  const int64_t before = pacer.Budget(8);
  pacer.Record(absl::Seconds(3), 8, before);
  EXPECT_NEAR(static_cast<double>(pacer.Budget(8)), static_cast<double>(before), 2);
  for (int step = 0; step < 10; ++step) {
    pacer.Record(machine.Step(8 + pacer.Budget(8)), 8, pacer.Budget(8));
  }
  EXPECT_NEAR(static_cast<double>(pacer.Budget(8)), static_cast<double>(before), 2);
  pacer.Record(absl::Seconds(3), 8, 0);
  EXPECT_EQ(pacer.decode_step(), machine.Step(8)) << "the median of the last three";
}

// Every fifth step, at random, takes thirty times as long: another program had the processor.
TEST(PrefillPacerTest, PromptsGetOnOnABusyMachine) {
  const Machine machine = {absl::Milliseconds(1), absl::Microseconds(10)};
  std::mt19937 random(1);
  PrefillPacer pacer(512);
  int64_t tokens = 0;
  int64_t steps = 0;
  for (; steps < 5000; ++steps) {
    const int64_t prefill = pacer.Budget(8);
    const absl::Duration hiccup = absl::Milliseconds(random() % 5 == 0 ? 30 : 0);
    pacer.Record(machine.Step(8 + prefill) + hiccup, 8, prefill);
    tokens += prefill;
  }
  const double undisturbed =
      absl::FDivDuration(machine.Step(8), machine.per_token);  // Tokens a step.
  EXPECT_GT(static_cast<double>(tokens) / static_cast<double>(steps), undisturbed / 2);
}

}  // namespace
}  // namespace llama
