#include "common/rpc/rpc_metrics.h"

#include <map>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "llama/v1/gateway_service.pb.h"

namespace llama {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

constexpr char kGenerate[] = "llama.v1.GatewayService/Generate";

class RpcMetricsTest : public testing::Test {
 protected:
  void Observe(const std::string& method, absl::StatusCode code, const std::string& reason = "",
               absl::Duration total = absl::Milliseconds(20)) {
    observe_({.method = method, .code = code, .reason = reason, .total = total});
  }
  // Values (of histograms: counts) of a metric by its labels' values, but for those that are 0.
  std::map<std::string, double> Read(const std::string& name) const {
    std::map<std::string, double> values;
    for (const prometheus::MetricFamily& family : registry_->Collect()) {
      if (family.name != name) continue;
      for (const prometheus::ClientMetric& metric : family.metric) {
        std::string labels;
        for (const auto& label : metric.label) absl::StrAppend(&labels, "/", label.value);
        const double value = family.type == prometheus::MetricType::Histogram
                                 ? static_cast<double>(metric.histogram.sample_count)
                                 : metric.counter.value;
        if (value != 0) values[labels] = value;
      }
    }
    return values;
  }

  std::shared_ptr<prometheus::Registry> registry_ = std::make_shared<prometheus::Registry>();
  // The messages of the service are used, so that its description is linked.
  v1::GenerateRequest linked_;
  CallObserver observe_ = CountCalls({"llama.v1.GatewayService"}, registry_);
};

TEST_F(RpcMetricsTest, CountsCallsByMethodAndCode) {
  Observe(kGenerate, absl::StatusCode::kOk);
  Observe(kGenerate, absl::StatusCode::kOk);
  Observe(kGenerate, absl::StatusCode::kCancelled);
  Observe("llama.v1.GatewayService/GetInfo", absl::StatusCode::kOk);
  EXPECT_THAT(Read("lnb_rpc_requests_total"),
              ElementsAre(Pair("/CANCELLED/llama.v1.GatewayService/Generate", 1),
                          Pair("/OK/llama.v1.GatewayService/Generate", 2),
                          Pair("/OK/llama.v1.GatewayService/GetInfo", 1)));
  EXPECT_EQ(Read("lnb_rpc_duration_seconds").at("/llama.v1.GatewayService/Generate"), 3);
}

TEST_F(RpcMetricsTest, EveryMethodIsThereBeforeItsFirstCall) {
  std::map<std::string, size_t> series;
  for (const prometheus::MetricFamily& family : registry_->Collect()) {
    series[family.name] = family.metric.size();
  }
  EXPECT_EQ(series["lnb_rpc_requests_total"], 2U);  // Generate and GetInfo.
  EXPECT_EQ(series["lnb_rpc_duration_seconds"], 2U);
  EXPECT_EQ(series["lnb_rpc_first_token_seconds"], 1U);  // Only Generate has tokens.
}

TEST_F(RpcMetricsTest, CountsErrorsByTheirReason) {
  Observe(kGenerate, absl::StatusCode::kResourceExhausted, "QUEUE_FULL");
  Observe(kGenerate, absl::StatusCode::kUnavailable, "LOADING");
  Observe(kGenerate, absl::StatusCode::kUnavailable, "LOADING");
  Observe(kGenerate, absl::StatusCode::kCancelled);
  EXPECT_THAT(Read("lnb_rpc_refusals_total"),
              ElementsAre(Pair("/LOADING", 2), Pair("/QUEUE_FULL", 1)));
}

TEST_F(RpcMetricsTest, ProbesAreLeftOut) {
  observe_({.method = kGenerate, .is_probe = true, .code = absl::StatusCode::kOk});
  EXPECT_THAT(Read("lnb_rpc_requests_total"), ElementsAre());
  EXPECT_THAT(Read("lnb_rpc_duration_seconds"), ElementsAre());
}

TEST_F(RpcMetricsTest, FirstTokensAreCountedWhereThereWereAny) {
  Observe(kGenerate, absl::StatusCode::kOk);
  EXPECT_THAT(Read("lnb_rpc_first_token_seconds"), ElementsAre());
  observe_(
      {.method = kGenerate, .code = absl::StatusCode::kOk, .first_token = absl::Milliseconds(5)});
  EXPECT_THAT(Read("lnb_rpc_first_token_seconds"),
              ElementsAre(Pair("/llama.v1.GatewayService/Generate", 1)));
}

TEST_F(RpcMetricsTest, NoClientCanMakeLabelsWithoutEnd) {
  for (int i = 0; i < 1000; ++i) {
    Observe(absl::StrCat("evil/", i), absl::StatusCode::kUnimplemented, absl::StrCat("R", i));
  }
  EXPECT_THAT(Read("lnb_rpc_requests_total"), ElementsAre(Pair("/UNIMPLEMENTED/other", 1000)));
  EXPECT_EQ(Read("lnb_rpc_refusals_total").size(), 33U);
  EXPECT_EQ(Read("lnb_rpc_refusals_total").at("/other"), 968);
}

}  // namespace
}  // namespace llama
