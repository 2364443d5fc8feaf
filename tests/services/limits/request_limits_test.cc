#include "services/limits/request_limits.h"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/read_file.h"
#include "common/status_details.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace llama {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::string Most(const FloatLimit& limit) {
  return limit.most == std::numeric_limits<float>::max() ? "no limit" : absl::StrCat(limit.most);
}
std::string Most(const IntLimit& limit) {
  return limit.most == kNoLimit ? "no limit" : absl::StrCat(limit.most);
}

// The rows of the table for readers, without who looks at them.
std::vector<std::string> TableInCode() {
  std::vector<std::string> rows;
  for (const FloatLimit& limit : kFloatLimits) {
    rows.push_back(absl::StrCat("| `", limit.field, "` | ", limit.above ? "above " : "",
                                limit.least, " | ", Most(limit), " | |"));
  }
  for (const IntLimit& limit : kIntLimits) {
    rows.push_back(absl::StrCat("| `", limit.field, "` | ", limit.least, " | ", Most(limit), " |",
                                limit.unit.empty() ? "" : " ", limit.unit, " |"));
  }
  return rows;
}

TEST(RequestLimitsTest, TheReadmeHasThisTable) {
  const std::string path = absl::StrCat(LLAMA_TEST_DATA, "/../../services/limits/README.md");
  const absl::StatusOr<std::string> readme = ReadFile(path, 1 << 20);
  ASSERT_TRUE(readme.ok()) << readme.status();
  std::vector<std::string> rows;
  for (const absl::string_view line : absl::StrSplit(*readme, '\n')) {
    if (line.empty() && !rows.empty()) break;  // The end of the first table.
    if (!absl::StartsWith(line, "| `")) continue;
    const size_t last = line.rfind('|', line.size() - 2);
    rows.emplace_back(line.substr(0, last + 1));
  }
  EXPECT_THAT(rows, testing::UnorderedElementsAreArray(TableInCode()));
}

TEST(RequestLimitsTest, FloatsAreAcceptedUpToTheEdgesAndRefusedBeyond) {
  for (const FloatLimit& limit : kFloatLimits) {
    SCOPED_TRACE(limit.field);
    const float least = limit.above ? std::nextafter(limit.least, kInfinity) : limit.least;
    EXPECT_TRUE(CheckLimit(limit, least).ok());
    EXPECT_TRUE(CheckLimit(limit, limit.most).ok());
    for (const float bad :
         {std::nextafter(least, -kInfinity), std::nextafter(limit.most, kInfinity), kInfinity,
          -kInfinity, std::nanf("")}) {
      const absl::Status status = CheckLimit(limit, bad);
      EXPECT_EQ(GetReason(status), "FIELD_INVALID") << bad;
      EXPECT_EQ(GetDetail<google::rpc::BadRequest>(status)->field_violations(0).field(),
                limit.field);
    }
  }
}

TEST(RequestLimitsTest, WholeNumbersAreAcceptedUpToTheEdgesAndRefusedBeyond) {
  for (const IntLimit& limit : kIntLimits) {
    SCOPED_TRACE(limit.field);
    EXPECT_TRUE(CheckLimit(limit, limit.least).ok());
    EXPECT_TRUE(CheckLimit(limit, limit.most).ok());
    EXPECT_EQ(GetReason(CheckLimit(limit, limit.least - 1)), "FIELD_INVALID");
    EXPECT_FALSE(CheckLimit(limit, std::numeric_limits<int64_t>::min()).ok());
    if (limit.most < kNoLimit) {
      EXPECT_EQ(GetReason(CheckLimit(limit, limit.most + 1)), "FIELD_INVALID");
    }
  }
}

TEST(RequestLimitsTest, ARefusalSaysWhatWasExpectedAndFound) {
  EXPECT_EQ(CheckLimit(kTopP, 2, "a.b").message(), "a.b: expected above 0 to 1, found 2");
  EXPECT_EQ(CheckLimit(kRepetitionPenalty, 0).message(),
            "sampling.repetition_penalty: expected a number above 0, found 0");
  EXPECT_EQ(CheckLimit(kMaxTokens, 0).message(),
            "stopping.max_tokens: expected at least 1, found 0");
  EXPECT_EQ(CheckLimit(kStopTokenIds, 17).message(),
            "stopping.stop_token_ids: expected at most 16 ids, found 17");
  EXPECT_EQ(CheckLimit(kStopSequenceBytes, 0).message(),
            "stopping.stop_sequences[]: expected 1 to 256 bytes, found 0");
}

TEST(RequestLimitsTest, ATimeLimitIsAboveZeroAndADuration) {
  EXPECT_TRUE(CheckTimeLimit(0, 1).ok());
  EXPECT_TRUE(CheckTimeLimit(315'576'000'000, 999'999'999).ok());
  EXPECT_FALSE(CheckTimeLimit(0, 0).ok());
  EXPECT_FALSE(CheckTimeLimit(-1, 0).ok());
  EXPECT_FALSE(CheckTimeLimit(1, -1).ok());
  EXPECT_FALSE(CheckTimeLimit(1, 1'000'000'000).ok());
  EXPECT_FALSE(CheckTimeLimit(315'576'000'001, 0).ok());
  EXPECT_FALSE(CheckTimeLimit(std::numeric_limits<int64_t>::min(), 0).ok());
}

TEST(RequestLimitsTest, APromptMayHaveAsManyBytesAsTheLimit) {
  EXPECT_TRUE(CheckPromptBytes(10, 10).ok());
  EXPECT_EQ(GetReason(CheckPromptBytes(11, 10)), "PROMPT_TOO_LONG");
}

}  // namespace
}  // namespace llama
