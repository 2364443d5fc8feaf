#ifndef LLAMA_COMMON_METRICS_PROCESS_H_
#define LLAMA_COMMON_METRICS_PROCESS_H_

#include <string>
#include <vector>

#include "prometheus/collectable.h"
#include "prometheus/metric_family.h"

namespace llama {

// What every program tells of itself: lnb_build_info with its name and version, and the process_…
// metrics that Prometheus's client libraries agree on (resident and virtual memory, processor time,
// threads, open descriptors, start), read from /proc. What cannot be read is left out.
class ProcessMetrics final : public prometheus::Collectable {
 public:
  // `program`: "lnb-model".
  explicit ProcessMetrics(std::string program) : program_(std::move(program)) {}
  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  const std::string program_;
};

}  // namespace llama

#endif  // LLAMA_COMMON_METRICS_PROCESS_H_
