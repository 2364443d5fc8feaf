#include "common/rpc/gate_metrics.h"

#include <map>
#include <string>

#include "absl/status/status.h"
#include "gtest/gtest.h"

namespace llama {
namespace {

// By name and label's value.
std::map<std::string, double> Read(const ServingGate& gate) {
  std::map<std::string, double> values;
  for (const prometheus::MetricFamily& family : GateMetrics(gate).Collect()) {
    for (const prometheus::ClientMetric& metric : family.metric) {
      values[family.name + (metric.label.empty() ? "" : "/" + metric.label.at(0).value)] =
          metric.gauge.value;
    }
  }
  return values;
}

// The one state that is 1; the others must be 0.
std::string StateOf(const ServingGate& gate) {
  std::string found;
  for (const auto& [name, value] : Read(gate)) {
    if (!name.starts_with("lnb_service_state/") || value == 0) continue;
    EXPECT_EQ(value, 1);
    EXPECT_EQ(found, "");
    found = name.substr(name.find('/') + 1);
  }
  return found;
}

TEST(GateMetricsTest, ShowsTheStateThatTheGateIsIn) {
  ServingGate gate;
  EXPECT_EQ(StateOf(gate), "loading");
  EXPECT_EQ(Read(gate).at("lnb_load_progress_ratio"), 0);
  gate.SetLoading(40);
  EXPECT_EQ(StateOf(gate), "loading");
  EXPECT_DOUBLE_EQ(Read(gate).at("lnb_load_progress_ratio"), 0.4);
  gate.SetServing();
  EXPECT_EQ(StateOf(gate), "serving");
  EXPECT_EQ(Read(gate).at("lnb_load_progress_ratio"), 1);
  gate.SetUnavailable(absl::UnavailableError("no backend"));
  EXPECT_EQ(StateOf(gate), "unavailable");
  gate.SetDraining();
  EXPECT_EQ(StateOf(gate), "draining");
}

TEST(GateMetricsTest, CountsTheCallsUnderWay) {
  ServingGate gate;
  gate.SetServing();
  const auto first = gate.Enter();
  {
    const auto second = gate.Enter();
    EXPECT_EQ(Read(gate).at("lnb_rpc_calls"), 2);
  }
  EXPECT_EQ(Read(gate).at("lnb_rpc_calls"), 1);
}

}  // namespace
}  // namespace llama
