#ifndef LLAMA_SERVICES_MODEL_MODEL_METRICS_H_
#define LLAMA_SERVICES_MODEL_MODEL_METRICS_H_

#include <atomic>
#include <vector>

#include "prometheus/collectable.h"
#include "prometheus/histogram.h"
#include "prometheus/metric_family.h"
#include "prometheus/registry.h"
#include "services/model/engine/engine_core.h"
#include "services/model/served_model.h"

namespace llama {

// What the engine does, as metrics (docs: deploy/prometheus/README.md): histograms of its steps and
// of what requests wait for, in a registry; totals and gauges, read from the engine when they are
// fetched.
class ModelMetrics final : public prometheus::Collectable {
 public:
  // `registry` must outlive it.
  explicit ModelMetrics(prometheus::Registry& registry);

  // As EngineOptions::on_step.
  void ObserveStep(const StepRecord& step, const StepWaits& waits);
  // From now on its engine is asked. Thread-safe; `model` must outlive this.
  void SetModel(ServedModel* model) { model_ = model; }

  // Thread-safe. Nothing before SetModel().
  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  prometheus::Histogram& step_seconds_;
  prometheus::Histogram& step_tokens_;
  prometheus::Histogram& step_sequences_;
  prometheus::Histogram& queue_seconds_;
  prometheus::Histogram& first_token_seconds_;
  prometheus::Histogram& gap_seconds_;
  std::atomic<ServedModel*> model_ = nullptr;
};

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_MODEL_METRICS_H_
