#include "common/program.h"

#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/temp_folder.h"

ABSL_FLAG(std::string, name, "nobody", "Whose it is.");
ABSL_FLAG(int, count, 7, "How many.");
ABSL_FLAG(bool, loud, false, "Whether to shout.");

namespace llama {
namespace {

using testing::ExitedWithCode;

// Runs in the child process of a death test: parses, prints what was parsed, exits with 0.
[[noreturn]] void Parse(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "/usr/bin/lnb-test");
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  dup2(STDERR_FILENO, STDOUT_FILENO);  // Death tests look at standard error only.
  ParseProgramFlags(static_cast<int>(argv.size()), argv.data(), "tests how flags are read.");
  std::cerr << "name=" << absl::GetFlag(FLAGS_name) << " count=" << absl::GetFlag(FLAGS_count)
            << " loud=" << absl::GetFlag(FLAGS_loud) << "\n";
  std::exit(0);
}

TEST(ProgramDeathTest, FlagsAreReadInEveryForm) {
  EXPECT_EXIT(Parse({}), ExitedWithCode(0), "name=nobody count=7 loud=0");
  EXPECT_EXIT(Parse({"--name=a b", "--count", "-3", "--loud"}), ExitedWithCode(0),
              "name=a b count=-3 loud=1");
  EXPECT_EXIT(Parse({"-name", "x", "--loud", "--noloud"}), ExitedWithCode(0), "name=x.*loud=0");
}

TEST(ProgramDeathTest, WrongUsageEndsWithTwoAndNamesWhatIsWrong) {
  EXPECT_EXIT(Parse({"--nmae=x"}), ExitedWithCode(2),
              "lnb-test: unknown flag --nmae .see lnb-test");
  EXPECT_EXIT(Parse({"--count=many"}), ExitedWithCode(2), "flag --count: cannot read many");
  EXPECT_EXIT(Parse({"--count"}), ExitedWithCode(2), "flag --count needs a value");
  EXPECT_EXIT(Parse({"stray"}), ExitedWithCode(2), "unexpected argument stray");
  EXPECT_EXIT(Parse({"--noname"}), ExitedWithCode(2), "unknown flag --noname");
  EXPECT_EXIT(Parse({"\x1B[31m"}), ExitedWithCode(2), "unexpected argument .x1b.31m");
}

TEST(ProgramDeathTest, FlagFilesAreReadAndHeldToTheSameRules) {
  const TempFolder folder;
  const std::string path = folder.Path("flags");
  const std::string argument = "--flagfile=" + path;
  const auto write = [&](const std::string& text) { folder.Write("flags", text); };
  write("# Comments,\n\n  --name=from a file\n--loud\n");
  EXPECT_EXIT(Parse({argument, "--count=3"}), ExitedWithCode(0), "name=from a file count=3 loud=1");
  EXPECT_EXIT(Parse({"--flagfile", path}), ExitedWithCode(0), "name=from a file count=7 loud=1");
  write("--nmae=x\n");
  EXPECT_EXIT(Parse({argument}), ExitedWithCode(2), "lnb-test: unknown flag --nmae");
  write("--count=many\n");
  EXPECT_EXIT(Parse({argument}), ExitedWithCode(2), "lnb-test: flag --count: cannot read many");
  write("stray\n");
  EXPECT_EXIT(Parse({argument}), ExitedWithCode(2), "lnb-test: unexpected argument stray");
  write(argument + "\n");
  EXPECT_EXIT(Parse({argument}), ExitedWithCode(2), "lnb-test: .*files name each other");
  EXPECT_EXIT(Parse({argument + ".none"}), ExitedWithCode(2), "lnb-test: .*flags.none.*No such");
}

TEST(ProgramDeathTest, HelpHasPurposeFlagsDefaultsAndExitStatus) {
  for (const char* flag : {"--help", "-h"}) {
    EXPECT_EXIT(Parse({flag}), ExitedWithCode(0), "lnb-test: tests how flags are read");
    EXPECT_EXIT(Parse({flag}), ExitedWithCode(0), "--name  .default: .nobody.");
    EXPECT_EXIT(Parse({flag}), ExitedWithCode(0), "Exit status: 0 success");
  }
}

TEST(ProgramDeathTest, VersionIsTheProjects) {
  EXPECT_EXIT(Parse({"--version"}), ExitedWithCode(0), "lnb-test [0-9]+[.][0-9]+[.][0-9]+");
}

TEST(ProgramTest, OnlyAFailureThatBlamesAFlagIsWrongUsage) {
  testing::internal::CaptureStderr();
  EXPECT_EQ(ReportFailure("lnb-test", absl::InvalidArgumentError("--count: expected 1")), 2);
  EXPECT_EQ(ReportFailure("lnb-test", absl::InvalidArgumentError("file.bin: damaged\n")), 1);
  EXPECT_EQ(ReportFailure("lnb-test", absl::UnavailableError("--count")), 1);
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "lnb-test: --count: expected 1\nlnb-test: file.bin: damaged\\n\nlnb-test: --count\n");
}

}  // namespace
}  // namespace llama
