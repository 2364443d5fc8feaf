#ifndef LLAMA_COMMON_METRICS_FAMILY_H_
#define LLAMA_COMMON_METRICS_FAMILY_H_

#include <string>
#include <vector>

#include "prometheus/client_metric.h"
#include "prometheus/metric_family.h"
#include "prometheus/metric_type.h"

// Metrics whose values are read when they are fetched, for prometheus::Collectable::Collect().
namespace llama {

using MetricLabels = std::vector<prometheus::ClientMetric::Label>;

struct MetricSample {
  double value = 0;
  MetricLabels labels = {};
};

// Names and units by https://prometheus.io/docs/practices/naming.
prometheus::MetricFamily GaugeFamily(std::string name, std::string help,
                                     const std::vector<MetricSample>& samples);
prometheus::MetricFamily CounterFamily(std::string name, std::string help,
                                       const std::vector<MetricSample>& samples);

}  // namespace llama

#endif  // LLAMA_COMMON_METRICS_FAMILY_H_
