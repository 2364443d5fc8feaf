#ifndef LLAMA_COMMON_RPC_GATE_METRICS_H_
#define LLAMA_COMMON_RPC_GATE_METRICS_H_

#include <vector>

#include "common/rpc/serving_gate.h"
#include "prometheus/collectable.h"
#include "prometheus/metric_family.h"

namespace llama {

// A service's phase as metrics: lnb_service_state, 1 for the one of loading, serving, unavailable
// and draining that it is in; lnb_load_progress_ratio; lnb_rpc_calls, those under way.
class GateMetrics final : public prometheus::Collectable {
 public:
  // `gate` must outlive it.
  explicit GateMetrics(const ServingGate& gate) : gate_(gate) {}
  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  const ServingGate& gate_;
};

}  // namespace llama

#endif  // LLAMA_COMMON_RPC_GATE_METRICS_H_
