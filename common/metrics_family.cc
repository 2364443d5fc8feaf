#include "common/metrics_family.h"

#include <utility>

namespace llama {

prometheus::MetricFamily GaugeFamily(std::string name, std::string help,
                                     const std::vector<MetricSample>& samples) {
  prometheus::MetricFamily family;
  family.name = std::move(name);
  family.help = std::move(help);
  family.type = prometheus::MetricType::Gauge;
  for (const MetricSample& sample : samples) {
    prometheus::ClientMetric& metric = family.metric.emplace_back();
    metric.label = sample.labels;
    metric.gauge.value = sample.value;
  }
  return family;
}

prometheus::MetricFamily CounterFamily(std::string name, std::string help,
                                       const std::vector<MetricSample>& samples) {
  prometheus::MetricFamily family = GaugeFamily(std::move(name), std::move(help), samples);
  family.type = prometheus::MetricType::Counter;
  for (prometheus::ClientMetric& metric : family.metric) metric.counter.value = metric.gauge.value;
  return family;
}

}  // namespace llama
