#include "common/rpc/rpc_metrics.h"

#include <set>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/mutex.h"
#include "google/protobuf/descriptor.h"
#include "prometheus/counter.h"
#include "prometheus/family.h"
#include "prometheus/histogram.h"

namespace llama {
namespace {

constexpr char kOther[] = "other";
constexpr size_t kMaxReasons = 32;

// From a vocabulary's lookup to a long reply of a large model.
prometheus::Histogram::BucketBoundaries Buckets() {
  return {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
          1,     2.5,    5,     10,   25,    50,   100, 250,  500};
}

std::set<std::string> MethodsOf(const std::vector<std::string>& services) {
  std::set<std::string> methods;
  for (const std::string& name : services) {
    const google::protobuf::ServiceDescriptor* const service =
        google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(name);
    if (service == nullptr) continue;
    for (int i = 0; i < service->method_count(); ++i) {
      methods.insert(absl::StrCat(name, "/", service->method(i)->name()));
    }
  }
  return methods;
}

prometheus::Labels RequestLabels(const std::string& method, absl::StatusCode code) {
  return {{"method", method}, {"code", absl::StatusCodeToString(code)}};
}

class RpcMetrics {
 public:
  RpcMetrics(const std::vector<std::string>& services,
             std::shared_ptr<prometheus::Registry> registry);
  void Observe(const CallRecord& record);

 private:
  std::string LabelOf(const std::string& reason);

  const std::shared_ptr<prometheus::Registry> registry_;
  const std::set<std::string> methods_;
  prometheus::Family<prometheus::Counter>& requests_;
  prometheus::Family<prometheus::Counter>& refusals_;
  prometheus::Family<prometheus::Histogram>& durations_;
  prometheus::Family<prometheus::Histogram>& first_tokens_;
  Mutex mutex_;
  std::set<std::string> reasons_ ABSL_GUARDED_BY(mutex_);
};

RpcMetrics::RpcMetrics(const std::vector<std::string>& services,
                       std::shared_ptr<prometheus::Registry> registry)
    : registry_(std::move(registry)),
      methods_(MethodsOf(services)),
      requests_(prometheus::BuildCounter()
                    .Name("lnb_rpc_requests_total")
                    .Help("Calls that ended, by method and status code.")
                    .Register(*registry_)),
      refusals_(prometheus::BuildCounter()
                    .Name("lnb_rpc_refusals_total")
                    .Help("Calls that ended with an error whose details give this reason.")
                    .Register(*registry_)),
      durations_(prometheus::BuildHistogram()
                     .Name("lnb_rpc_duration_seconds")
                     .Help("From the receipt of a call to its end.")
                     .Register(*registry_)),
      first_tokens_(prometheus::BuildHistogram()
                        .Name("lnb_rpc_first_token_seconds")
                        .Help("From the receipt of a call to the first token of its reply.")
                        .Register(*registry_)) {
  // A series that begins at 0, for rates need two values.
  for (const std::string& method : methods_) {
    requests_.Add(RequestLabels(method, absl::StatusCode::kOk));
    durations_.Add({{"method", method}}, Buckets());
  }
}

void RpcMetrics::Observe(const CallRecord& record) {
  if (record.is_probe) return;
  const std::string method = methods_.contains(record.method) ? record.method : kOther;
  requests_.Add(RequestLabels(method, record.code)).Increment();
  if (!record.reason.empty()) refusals_.Add({{"reason", LabelOf(record.reason)}}).Increment();
  durations_.Add({{"method", method}}, Buckets()).Observe(absl::ToDoubleSeconds(record.total));
  if (record.first_token.has_value()) {
    first_tokens_.Add({{"method", method}}, Buckets())
        .Observe(absl::ToDoubleSeconds(*record.first_token));
  }
}

std::string RpcMetrics::LabelOf(const std::string& reason) {
  MutexLock lock(&mutex_);
  if (reasons_.size() < kMaxReasons) reasons_.insert(reason);
  return reasons_.contains(reason) ? reason : kOther;
}

}  // namespace

CallObserver CountCalls(const std::vector<std::string>& services,
                        std::shared_ptr<prometheus::Registry> registry) {
  return [metrics = std::make_shared<RpcMetrics>(services, std::move(registry))](
             const CallRecord& record) { metrics->Observe(record); };
}

}  // namespace llama
