// Every forged file is refused in words, soon, with little memory; every good twin loads. Each in a
// process of its own, in which a crash, its time and its memory are seen.
#include <fcntl.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/time/clock.h"
#include "common/printable.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/forged/cases.h"
#include "tests/support/temp_folder.h"

namespace llama::forged {
namespace {

#ifdef LNB_SANITIZED  // Whose bookkeeping takes time and memory.
constexpr absl::Duration kMostTime = absl::Seconds(20);
constexpr int64_t kMostMegabytes = 2000;
#else
constexpr absl::Duration kMostTime = absl::Seconds(2);
constexpr int64_t kMostMegabytes = 200;
#endif

struct Outcome {
  std::string message;    // "OK", or the refusal's.
  int status = 0;         // Of the process, as wait() has it.
  absl::Duration time;    // Of the processor, which other processes do not lengthen.
  absl::Duration waited;  // By the clock.
  int64_t megabytes = 0;
};

Outcome Read(const Case& forged, const std::string& folder) {
  int ends[2];
  EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  const char* const reader = forged.reader == Reader::kModel ? "model" : "tokenizer";
  const char* const arguments[] = {LLAMA_READ_FILES, reader, folder.c_str(), nullptr};
  pid_t child = 0;
  const absl::Time start = absl::Now();
  EXPECT_EQ(posix_spawn(&child, LLAMA_READ_FILES, &actions, nullptr,
                        const_cast<char* const*>(arguments), environ),
            0);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  Outcome outcome;
  char buffer[4096];
  for (ssize_t got = 0; (got = read(ends[0], buffer, sizeof buffer)) > 0;) {
    outcome.message.append(buffer, static_cast<size_t>(got));
  }
  close(ends[0]);
  rusage usage = {};
  EXPECT_EQ(wait4(child, &outcome.status, 0, &usage), child);
  outcome.waited = absl::Now() - start;
  outcome.time =
      absl::DurationFromTimeval(usage.ru_utime) + absl::DurationFromTimeval(usage.ru_stime);
  const size_t line = outcome.message.find('\n');
  EXPECT_TRUE(absl::SimpleAtoi(outcome.message.substr(0, line), &outcome.megabytes));
  outcome.megabytes /= 1024;
  outcome.message.erase(0, line == std::string::npos ? line : line + 1);
  return outcome;
}

class ForgedFilesTest : public testing::TestWithParam<Case> {};

TEST_P(ForgedFilesTest, IsRefusedInWordsOrLoads) {
  const Case& forged = GetParam();
  const TempFolder folder;
  forged.write(folder.path());
  const Outcome outcome = Read(forged, folder.path());
  ASSERT_EQ(outcome.status, 0) << "it crashed: " << outcome.message;
  EXPECT_LE(outcome.time, kMostTime);
  EXPECT_LE(outcome.waited, 10 * kMostTime) << "it hangs";
  EXPECT_LE(outcome.megabytes, kMostMegabytes);
  if (forged.expected.empty()) {
    EXPECT_EQ(outcome.message, "OK");
    return;
  }
  ASSERT_NE(outcome.message, "OK");
  for (const std::string& part : forged.expected) {
    EXPECT_THAT(outcome.message, testing::HasSubstr(part));
  }
  EXPECT_LE(outcome.message.size(), 2000u);
  EXPECT_EQ(outcome.message, Printable(outcome.message));
}

INSTANTIATE_TEST_SUITE_P(All, ForgedFilesTest, testing::ValuesIn(AllCases()), [](const auto& test) {
  std::string name = test.param.name;
  std::replace(name.begin(), name.end(), '-', 'm');
  return name;
});

TEST(ForgedFilesListTest, ThereAreThreeHundredAndEachKindHasATwin) {
  const std::vector<Case> cases = AllCases();
  size_t forged = 0;
  for (const Case& one : cases) forged += one.expected.empty() ? 0 : 1;
  EXPECT_GE(forged, 300u);
  for (auto* const kind :
       {ZipCases, PickleCases, TensorCases, ParamsCases, TokenizerCases, FileCases}) {
    const std::vector<Case> of_kind = kind();
    EXPECT_TRUE(std::any_of(of_kind.begin(), of_kind.end(),
                            [](const Case& one) { return one.expected.empty(); }));
  }
}

}  // namespace
}  // namespace llama::forged
