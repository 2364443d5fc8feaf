#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "clients/load/load_plan.h"
#include "clients/load/load_report.h"
#include "common/status_details.h"
#include "gmock/gmock.h"
#include "google/protobuf/struct.pb.h"
#include "google/protobuf/util/json_util.h"
#include "gtest/gtest.h"

namespace llama {
namespace {

TEST(LoadPlanTest, APlanIsTheSameEachTimeAndKeepsToItsOptions) {
  const LoadOptions options = {.requests = 200,
                               .rate = 50,
                               .prompt_tokens = {10, 30},
                               .reply_tokens = {5, 7},
                               .shared_tokens = 8,
                               .distinct = 20,
                               .cancel_percent = 25};
  const auto plan = PlanLoad(options, 512);
  const auto again = PlanLoad(options, 512);
  ASSERT_EQ(plan.size(), 200u);
  std::map<int64_t, std::string> kinds;
  std::set<int> lengths;
  int64_t cancelled = 0;
  for (size_t i = 0; i < plan.size(); ++i) {
    const std::string bytes = plan[i].request.SerializeAsString();
    EXPECT_EQ(bytes, again[i].request.SerializeAsString());
    EXPECT_EQ(kinds.emplace(plan[i].kind, bytes).first->second, bytes);
    const auto& ids = plan[i].request.prompt().token_ids().ids();
    lengths.insert(ids.size());
    EXPECT_TRUE(std::equal(ids.begin(), ids.begin() + 8,
                           plan[0].request.prompt().token_ids().ids().begin()));
    EXPECT_LT(*std::max_element(ids.begin(), ids.end()), 512u);
    cancelled += plan[i].cancel_after.has_value();
    if (plan[i].cancel_after.has_value()) {
      EXPECT_LT(*plan[i].cancel_after, plan[i].request.stopping().max_tokens());
    }
  }
  EXPECT_EQ(kinds.size(), 20u);
  EXPECT_EQ(lengths, (std::set<int>{10, 30}));
  EXPECT_NEAR(static_cast<double>(cancelled), 50, 20);
  EXPECT_TRUE(std::is_sorted(plan.begin(), plan.end(),
                             [](const auto& a, const auto& b) { return a.arrival < b.arrival; }));
  EXPECT_NEAR(absl::ToDoubleSeconds(plan.back().arrival), 4, 1);
}

TEST(LoadPlanTest, ClientsOfAClosedLoopBeginOneByOne) {
  const auto plan = PlanLoad({.clients = 4, .requests = 10, .ramp = absl::Seconds(2)}, 512);
  for (size_t i = 0; i < plan.size(); ++i) {
    EXPECT_EQ(plan[i].arrival, absl::Seconds(0.5) * static_cast<double>(std::min<size_t>(i, 4)));
  }
}

TEST(LoadReportTest, PercentilesAreValuesThatOccurred) {
  std::vector<absl::Duration> values;
  for (int i = 100; i > 0; --i) values.push_back(absl::Milliseconds(i));
  const Percentiles percentiles = PercentilesOf(values);
  EXPECT_EQ(percentiles.p50, absl::Milliseconds(50));
  EXPECT_EQ(percentiles.p90, absl::Milliseconds(90));
  EXPECT_EQ(percentiles.p99, absl::Milliseconds(99));
  EXPECT_EQ(percentiles.max, absl::Milliseconds(100));
  EXPECT_EQ(PercentilesOf({absl::Seconds(3)}).p50, absl::Seconds(3));
  EXPECT_EQ(PercentilesOf({}).count, 0);
}

LoadRun ARun() {
  LoadRun run;
  run.duration = absl::Seconds(2);
  CallResult whole = {.kind = 1, .ids = {4, 5, 6}, .total = absl::Milliseconds(30)};
  whole.finished = true;
  whole.first_token = absl::Milliseconds(10);
  whole.gaps = {absl::Milliseconds(5), absl::Milliseconds(15)};
  whole.prompt_tokens = 10;
  whole.cached_prompt_tokens = 5;
  CallResult other = whole;
  other.ids = {4, 5, 7};
  CallResult cancelled = {.status = absl::CancelledError(), .ids = {1}};
  cancelled.cancelled = true;
  CallResult refused = {
      .status = MakeStatus(absl::StatusCode::kResourceExhausted, "QUEUE_FULL", ""),
      .total = absl::Milliseconds(2)};
  CallResult lost = {.status = absl::UnavailableError("")};
  run.results = {whole, other, cancelled, refused, refused, lost, CallResult{}};
  return run;
}

TEST(LoadReportTest, CallsAreCountedByHowTheyEnded) {
  const LoadReport report = MakeReport(ARun(), {{1, {4, 5, 6}}});
  EXPECT_EQ(report.requests, 7);
  EXPECT_EQ(report.replies, 2);
  EXPECT_EQ(report.cancelled, 1);
  EXPECT_EQ(report.different, 1);
  EXPECT_EQ(report.failures, (std::map<std::string, int64_t>{
                                 {"QUEUE_FULL", 2}, {"UNAVAILABLE", 1}, {"CUT_SHORT", 1}}));
  EXPECT_EQ(report.refusal.count, 2);
  EXPECT_EQ(report.gap.max, absl::Milliseconds(15));
  EXPECT_EQ(report.requests_per_second, 1);
  EXPECT_EQ(report.tokens_per_second, 3.5);
  EXPECT_EQ(report.goodput, 3);
  EXPECT_EQ(report.cached_share, 0.5);
}

TEST(LoadReportTest, TheJsonIsOneLineOfJson) {
  const std::string json = ToJson(MakeReport(ARun(), {}));
  EXPECT_EQ(std::count(json.begin(), json.end(), '\n'), 1);
  google::protobuf::Struct parsed;
  ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(json, &parsed).ok()) << json;
  const auto& fields = parsed.fields();
  EXPECT_EQ(fields.at("failures").struct_value().fields().at("QUEUE_FULL").number_value(), 2);
  EXPECT_EQ(fields.at("token_gap_ms").struct_value().fields().at("p50").number_value(), 5);
}

}  // namespace
}  // namespace llama
