#include "common/rpc/gate_metrics.h"

#include <cstdint>

#include "absl/strings/numbers.h"
#include "absl/strings/string_view.h"
#include "common/metrics_family.h"
#include "common/status_details.h"
#include "google/rpc/error_details.pb.h"

namespace llama {
namespace {

absl::string_view StateOf(const absl::Status& status) {
  if (status.ok()) return "serving";
  const std::string reason = GetReason(status);
  if (reason == "LOADING") return "loading";
  return reason == "DRAINING" ? "draining" : "unavailable";
}

// How much is loaded, of 1. A service that drains had loaded, or never will.
double ProgressOf(const absl::Status& status) {
  if (StateOf(status) != "loading") return 1;
  const auto info = GetDetail<google::rpc::ErrorInfo>(status);
  int64_t percent = 0;
  if (info.has_value() && info->metadata().contains("percent")) {
    (void)absl::SimpleAtoi(info->metadata().at("percent"), &percent);
  }
  return static_cast<double>(percent) / 100;
}

}  // namespace

std::vector<prometheus::MetricFamily> GateMetrics::Collect() const {
  const absl::Status status = gate_.Check();
  std::vector<MetricSample> states;
  for (const absl::string_view state : {"loading", "serving", "unavailable", "draining"}) {
    states.push_back({state == StateOf(status) ? 1.0 : 0.0, {{"state", std::string(state)}}});
  }
  return {GaugeFamily("lnb_service_state", "1 for the state that the service is in, 0 for others.",
                      states),
          GaugeFamily("lnb_load_progress_ratio", "How much is loaded, from 0 to 1.",
                      {{ProgressOf(status)}}),
          GaugeFamily("lnb_rpc_calls", "Calls under way.", {{static_cast<double>(gate_.calls())}})};
}

}  // namespace llama
