#include "common/log.h"

#include <fcntl.h>
#include <unistd.h>

#include <initializer_list>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
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
  EXPECT_TRUE(FlushLog(absl::Seconds(10)));
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

// What Log() with these fields puts on standard error.
std::string LoggedFields(absl::string_view format, std::initializer_list<LogField> fields) {
  testing::internal::CaptureStderr();
  EXPECT_TRUE(SetUpLog("info", format).ok());
  Log(LogLevel::kInfo, "call", fields);
  EXPECT_TRUE(FlushLog(absl::Seconds(10)));
  return testing::internal::GetCapturedStderr();
}

TEST(LogTest, FieldsAreMembersOfTheObjectOrWordsOfTheLine) {
  const std::initializer_list<LogField> fields = {
      {"id", absl::string_view("a-1")}, {"tokens", int64_t{7}}, {"total_ms", 1.5}};
  EXPECT_THAT(LoggedFields("json", fields),
              EndsWith("\"message\":\"call\",\"id\":\"a-1\",\"tokens\":7,\"total_ms\":1.500}\n"));
  EXPECT_THAT(LoggedFields("text", fields),
              EndsWith(" info call id=a-1 tokens=7 total_ms=1.500\n"));
}

TEST(LogTest, AFieldCannotForgeALineNorAnotherField) {
  const std::initializer_list<LogField> fields = {
      {"id", absl::string_view("a\n\"} b=c\x1B\xFF\0d", 12)}};
  EXPECT_THAT(LoggedFields("json", fields),
              EndsWith(R"("message":"call","id":"a\u000a\"} b=c\u001b)"
                       "\uFFFD"
                       R"(\u0000d"})"
                       "\n"));
  EXPECT_THAT(LoggedFields("text", fields), EndsWith(R"( call id="a\u000a\"} b=c\u001b)"
                                                     "\uFFFD"
                                                     R"(\u0000d")"
                                                     "\n"));
}

TEST(LogTest, AReaderThatStandsStillStopsNobodyAndIsToldWhatItMissed) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const int saved = dup(STDERR_FILENO);
  dup2(ends[1], STDERR_FILENO);
  ASSERT_TRUE(SetUpLog("info", "text").ok());
  const std::string line(1000, 'x');
  const absl::Time start = absl::Now();
  for (int i = 0; i < 20'000; ++i) LogInfo(line);  // 20 MB; a pipe holds 64 KB, the queue 8 MB.
  EXPECT_LT(absl::Now() - start, absl::Seconds(20));
  EXPECT_FALSE(FlushLog(absl::Milliseconds(20)));

  std::string read_bytes;
  std::thread reader([&] {
    std::vector<char> buffer(1 << 16);
    for (ssize_t n = 0; (n = read(ends[0], buffer.data(), buffer.size())) > 0;) {
      read_bytes.append(buffer.data(), static_cast<size_t>(n));
    }
  });
  EXPECT_TRUE(FlushLog(absl::Seconds(30)));
  absl::SleepFor(absl::Milliseconds(1100));  // Beyond the last report of what was dropped.
  LogInfo("last");
  EXPECT_TRUE(FlushLog(absl::Seconds(30)));
  dup2(saved, STDERR_FILENO);
  close(saved);
  close(ends[1]);
  reader.join();
  close(ends[0]);

  int64_t lines = 0, dropped = 0;
  for (const absl::string_view text : absl::StrSplit(read_bytes, '\n', absl::SkipEmpty())) {
    const size_t at = text.find(" lines=");
    if (at == absl::string_view::npos) {
      ++lines;
    } else {
      int64_t count = 0;
      ASSERT_TRUE(absl::SimpleAtoi(text.substr(at + 7), &count)) << text;
      dropped += count;
    }
  }
  EXPECT_GT(dropped, 0);
  EXPECT_EQ(lines + dropped, 20'001);
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
  EXPECT_TRUE(FlushLog(absl::Seconds(10)));
  const int full = open("/dev/full", O_WRONLY);
  ASSERT_EQ(full, STDERR_FILENO);
  LogError("to a full disk");
  EXPECT_TRUE(FlushLog(absl::Seconds(10)));
  dup2(saved, STDERR_FILENO);
  close(saved);
}

}  // namespace
}  // namespace llama
