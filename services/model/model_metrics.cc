#include "services/model/model_metrics.h"

#include <string>

#include "common/metrics_family.h"

namespace llama {
namespace {

using Buckets = prometheus::Histogram::BucketBoundaries;

// From a tiny model's fractions of a millisecond to a large one's minutes.
Buckets GapBuckets() {
  return {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};
}
Buckets WaitBuckets() {
  return {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250};
}
Buckets SizeBuckets() { return {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096}; }

prometheus::Histogram& AddHistogram(prometheus::Registry& registry, const char* name,
                                    const char* help, const Buckets& buckets) {
  return prometheus::BuildHistogram().Name(name).Help(help).Register(registry).Add({}, buckets);
}

void ObserveAll(const std::vector<absl::Duration>& durations, prometheus::Histogram& histogram) {
  for (const absl::Duration duration : durations) {
    histogram.Observe(absl::ToDoubleSeconds(duration));
  }
}

std::vector<MetricSample> One(int64_t value) { return {{static_cast<double>(value)}}; }

MetricSample Labelled(int64_t value, const char* label, const char* text) {
  return {static_cast<double>(value), {{label, text}}};
}

}  // namespace

ModelMetrics::ModelMetrics(prometheus::Registry& registry)
    : step_seconds_(AddHistogram(registry, "lnb_model_step_duration_seconds",
                                 "How long the computation of a batch took.", GapBuckets())),
      step_tokens_(AddHistogram(registry, "lnb_model_step_tokens",
                                "Tokens that a batch computed, of prompts and replies.",
                                SizeBuckets())),
      step_sequences_(AddHistogram(registry, "lnb_model_step_sequences",
                                   "Requests that a batch computed together.", SizeBuckets())),
      queue_seconds_(AddHistogram(registry, "lnb_model_queue_wait_seconds",
                                  "From the receipt of a request until it began to be computed.",
                                  WaitBuckets())),
      first_token_seconds_(AddHistogram(registry, "lnb_model_time_to_first_token_seconds",
                                        "From the receipt of a request to its first token.",
                                        WaitBuckets())),
      gap_seconds_(AddHistogram(registry, "lnb_model_token_gap_seconds",
                                "Between two tokens of one reply.", GapBuckets())) {}

void ModelMetrics::ObserveStep(const StepRecord& step, const StepWaits& waits) {
  step_seconds_.Observe(absl::ToDoubleSeconds(step.duration));
  step_tokens_.Observe(static_cast<double>(step.prefill_tokens + step.decode_tokens));
  step_sequences_.Observe(static_cast<double>(step.sequences));
  ObserveAll(waits.queue, queue_seconds_);
  ObserveAll(waits.first_tokens, first_token_seconds_);
  ObserveAll(waits.gaps, gap_seconds_);
}

std::vector<prometheus::MetricFamily> ModelMetrics::Collect() const {
  ServedModel* const model = model_.load();
  if (model == nullptr) return {};
  const EngineLoad load = model->engine().load();
  const EngineTotals& totals = load.totals;
  const ComputePlan& plan = model->plan();
  const int64_t block_bytes = plan.kv_cache_bytes / plan.kv_blocks;
  const int64_t used = load.kv_cache_bytes_used / block_bytes;
  const int64_t cached = load.kv_cache_bytes_cached / block_bytes;
  return {
      CounterFamily("lnb_model_prompt_tokens_total",
                    "Prompt tokens of the requests that began to be computed.",
                    One(totals.prompt_tokens)),
      CounterFamily("lnb_model_prefix_cache_hit_tokens_total",
                    "Of the prompt tokens, those found in the prefix cache.",
                    One(totals.cached_prompt_tokens)),
      CounterFamily("lnb_model_prefill_tokens_total",
                    "Prompt tokens computed, again where a request was preempted.",
                    One(totals.prefill_tokens)),
      CounterFamily("lnb_model_decode_tokens_total",
                    "Reply tokens computed, again where a request was preempted.",
                    One(totals.decode_tokens)),
      CounterFamily("lnb_model_reply_tokens_total", "Reply tokens drawn.",
                    One(totals.reply_tokens)),
      CounterFamily("lnb_model_preemptions_total",
                    "How often a request gave its KV blocks up, to be computed again.",
                    One(totals.preemptions)),
      CounterFamily("lnb_model_dropped_requests_total",
                    "Requests dropped in the engine: cancelled by their caller, or expired.",
                    {Labelled(totals.cancelled, "cause", "cancelled"),
                     Labelled(totals.expired, "cause", "expired")}),
      GaugeFamily("lnb_model_running_requests", "Requests in the batch.", One(load.running)),
      GaugeFamily("lnb_model_waiting_requests", "Requests that wait for a place in the batch.",
                  One(load.waiting)),
      GaugeFamily("lnb_model_waiting_prefill_tokens",
                  "Prompt tokens not yet computed, over all requests.",
                  One(load.waiting_prefill_tokens)),
      GaugeFamily("lnb_model_kv_cache_blocks",
                  "Blocks of the KV cache: used by requests, kept as prefix cache, or free.",
                  {Labelled(used, "state", "used"), Labelled(cached, "state", "cached"),
                   Labelled(plan.kv_blocks - used - cached, "state", "free")}),
      GaugeFamily("lnb_model_kv_cache_bytes", "Size of the KV cache.", One(plan.kv_cache_bytes)),
      GaugeFamily("lnb_model_weight_bytes", "Size of the weights.", One(plan.weight_bytes)),
      GaugeFamily("lnb_model_threads", "Threads that compute.", One(plan.threads)),
      GaugeFamily("lnb_model_memory_read_bytes_per_second",
                  "How fast the weights were read in a measurement at start.",
                  {{plan.memory_read_bytes_per_second}}),
  };
}

}  // namespace llama
