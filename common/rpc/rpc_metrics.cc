#include "common/rpc/rpc_metrics.h"

#include <array>
#include <atomic>
#include <map>
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

std::vector<const google::protobuf::MethodDescriptor*> MethodsOf(
    const std::vector<std::string>& services) {
  std::vector<const google::protobuf::MethodDescriptor*> methods;
  for (const std::string& name : services) {
    const google::protobuf::ServiceDescriptor* const service =
        google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(name);
    if (service == nullptr) continue;
    for (int i = 0; i < service->method_count(); ++i) {
      methods.push_back(service->method(i));
    }
  }
  return methods;
}

struct Families {
  explicit Families(prometheus::Registry& registry)
      : requests(prometheus::BuildCounter()
                     .Name("lnb_rpc_requests_total")
                     .Help("Calls that ended, by method and status code.")
                     .Register(registry)),
        refusals(prometheus::BuildCounter()
                     .Name("lnb_rpc_refusals_total")
                     .Help("Calls that ended with an error whose details give this reason.")
                     .Register(registry)),
        durations(prometheus::BuildHistogram()
                      .Name("lnb_rpc_duration_seconds")
                      .Help("From the receipt of a call to its end.")
                      .Register(registry)),
        first_tokens(prometheus::BuildHistogram()
                         .Name("lnb_rpc_first_token_seconds")
                         .Help("From the receipt of a call to the first token of its reply.")
                         .Register(registry)) {}

  prometheus::Family<prometheus::Counter>& requests;
  prometheus::Family<prometheus::Counter>& refusals;
  prometheus::Family<prometheus::Histogram>& durations;
  prometheus::Family<prometheus::Histogram>& first_tokens;
};

// What counts one method's calls. Each series is looked up once, which takes longer than to count.
// Thread-safe.
class MethodSeries {
 public:
  MethodSeries(const Families& families, std::string method)
      : families_(families), method_(std::move(method)) {}

  prometheus::Counter& Requests(absl::StatusCode code) {
    const auto index = static_cast<size_t>(code) % requests_.size();
    return Find(
        requests_[index], [&]() -> auto& {
          return families_.requests.Add(
              {{"method", method_}, {"code", absl::StatusCodeToString(code)}});
        });
  }
  prometheus::Histogram& Durations() {
    return Find(
        durations_, [&]() -> auto& {
          return families_.durations.Add({{"method", method_}}, Buckets());
        });
  }
  prometheus::Histogram& FirstTokens() {
    return Find(
        first_tokens_, [&]() -> auto& {
          return families_.first_tokens.Add({{"method", method_}}, Buckets());
        });
  }

 private:
  // Several threads that look up at once find the same.
  template <typename Metric, typename LookUp>
  static Metric& Find(std::atomic<Metric*>& found, LookUp look_up) {
    Metric* metric = found;
    if (metric == nullptr) found = metric = &look_up();
    return *metric;
  }

  const Families& families_;
  const std::string method_;
  std::array<std::atomic<prometheus::Counter*>, 17> requests_ = {};  // By status code.
  std::atomic<prometheus::Histogram*> durations_ = nullptr;
  std::atomic<prometheus::Histogram*> first_tokens_ = nullptr;
};

class RpcMetrics {
 public:
  RpcMetrics(const std::vector<std::string>& services,
             std::shared_ptr<prometheus::Registry> registry);
  void Observe(const CallRecord& record);

 private:
  prometheus::Counter& Refusals(const std::string& reason);

  const std::shared_ptr<prometheus::Registry> registry_;
  const Families families_;
  std::map<std::string, MethodSeries> methods_;  // The constructor's.
  MethodSeries other_methods_;
  Mutex mutex_;
  std::map<std::string, prometheus::Counter*> reasons_ ABSL_GUARDED_BY(mutex_);
};

RpcMetrics::RpcMetrics(const std::vector<std::string>& services,
                       std::shared_ptr<prometheus::Registry> registry)
    : registry_(std::move(registry)), families_(*registry_), other_methods_(families_, kOther) {
  for (const google::protobuf::MethodDescriptor* const method : MethodsOf(services)) {
    const std::string name = absl::StrCat(method->service()->full_name(), "/", method->name());
    MethodSeries& series = methods_.try_emplace(name, families_, name).first->second;
    // They begin at 0, for rates need two values.
    series.Requests(absl::StatusCode::kOk);
    series.Durations();
    if (method->server_streaming()) series.FirstTokens();
  }
}

void RpcMetrics::Observe(const CallRecord& record) {
  if (record.is_probe) return;
  const auto found = methods_.find(record.method);
  MethodSeries& series = found == methods_.end() ? other_methods_ : found->second;
  series.Requests(record.code).Increment();
  if (!record.reason.empty()) Refusals(record.reason).Increment();
  series.Durations().Observe(absl::ToDoubleSeconds(record.total));
  if (record.first_token.has_value()) {
    series.FirstTokens().Observe(absl::ToDoubleSeconds(*record.first_token));
  }
}

prometheus::Counter& RpcMetrics::Refusals(const std::string& reason) {
  MutexLock lock(&mutex_);
  const bool known = reasons_.contains(reason) || reasons_.size() < kMaxReasons;
  prometheus::Counter*& counter = reasons_[known ? reason : kOther];
  if (counter == nullptr) {
    counter = &families_.refusals.Add({{"reason", known ? reason : kOther}});
  }
  return *counter;
}

}  // namespace

CallObserver CountCalls(const std::vector<std::string>& services,
                        std::shared_ptr<prometheus::Registry> registry) {
  return [metrics = std::make_shared<RpcMetrics>(services, std::move(registry))](
             const CallRecord& record) { metrics->Observe(record); };
}

}  // namespace llama
