#include "common/log.h"

#include <fcntl.h>
#include <unistd.h>

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace llama {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::MatchesRegex;

// What `level`, `format` and one message put on standard error.
std::string Logged(absl::string_view level, absl::string_view format, absl::string_view message) {
  testing::internal::CaptureStderr();
  EXPECT_TRUE(SetUpLog(level, format).ok());
  LogInfo(message);
  return testing::internal::GetCapturedStderr();
}

TEST(LogTest, ATextLineHasTimeLevelAndMessage) {
  EXPECT_THAT(Logged("info", "text", "listening"),
              MatchesRegex("[0-9]+-[0-9]+-[0-9]+ [0-9]+:[0-9]+:[0-9.]+ info listening\n"));
}

TEST(LogTest, AJsonLineIsOneObject) {
  EXPECT_THAT(Logged("info", "json", "a \"b\" \\ c"),
              MatchesRegex("\\{\"time\":\"[^\"]*\",\"level\":\"info\",\"message\":"
                           "\"a \\\\\"b\\\\\" \\\\\\\\ c\"\\}\n"));
}

TEST(LogTest, AMessageCannotForgeALineNorReachTheTerminal) {
  for (const char* format : {"text", "json"}) {
    const std::string line = Logged("info", format, "a\nb\x1B[31m\r\x7F");
    EXPECT_EQ(line.find('\n'), line.size() - 1);
    EXPECT_EQ(line.find('\x1B'), std::string::npos);
    EXPECT_EQ(line.find('\r'), std::string::npos);
    EXPECT_EQ(line.find('\x7F'), std::string::npos);
  }
}

TEST(LogTest, BelowTheLevelNothingIsWritten) {
  EXPECT_EQ(Logged("warning", "text", "chatter"), "");
  EXPECT_EQ(Logged("off", "text", "chatter"), "");
}

TEST(LogTest, UnknownLevelsAndFormatsBlameTheFlag) {
  EXPECT_THAT(std::string(SetUpLog("loud", "text").message()), HasSubstr("--log_level"));
  EXPECT_THAT(std::string(SetUpLog("info", "xml").message()), EndsWith("found xml"));
}

TEST(LogTest, AClosedOrFullStandardErrorDoesNoHarm) {
  ASSERT_TRUE(SetUpLog("info", "text").ok());
  const int saved = dup(STDERR_FILENO);
  close(STDERR_FILENO);
  LogInfo("to nowhere");
  const int full = open("/dev/full", O_WRONLY);
  ASSERT_EQ(full, STDERR_FILENO);
  LogError("to a full disk");
  dup2(saved, STDERR_FILENO);
  close(saved);
}

}  // namespace
}  // namespace llama
