#include "clients/load/load_runner.h"

#include <algorithm>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/time/clock.h"
#include "common/mutex.h"
#include "common/rpc/channel.h"

namespace llama {
namespace {

constexpr int64_t kCallsPerConnection = 90;  // A server allows 100.
constexpr absl::Duration kConnectTimeout = absl::Seconds(10);

// The clients' side of a run: which stubs are in use, and what ended.
class Clients {
 public:
  Clients(const LoadTarget& target, int64_t count) {
    std::vector<std::shared_ptr<grpc::Channel>> channels;
    for (int64_t i = 0; i < count; ++i) {
      if (i % kCallsPerConnection == 0) {
        channels.push_back(CreateChannel(target.address, target.credentials));
        channels.back()->GetState(/*try_to_connect=*/true);
        stubs_.push_back(v1::GatewayService::NewStub(channels.back()));
      }
      idle_.push_back(stubs_.back().get());
    }
    // One that cannot be opened in time will fail its calls, and they tell why.
    const auto deadline = absl::ToChronoTime(absl::Now() + kConnectTimeout);
    for (const auto& channel : channels) channel->WaitForConnected(deadline);
  }

  // Waits for a client that is idle.
  v1::GatewayService::Stub* Take() {
    MutexLock lock(&mutex_,
                   [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !idle_.empty(); });
    v1::GatewayService::Stub* const stub = idle_.back();
    idle_.pop_back();
    return stub;
  }
  void Done(v1::GatewayService::Stub* stub, CallResult result) {
    MutexLock lock(&mutex_);
    idle_.push_back(stub);
    results_.push_back(std::move(result));
  }
  std::vector<CallResult> WaitFor(size_t count) {
    MutexLock lock(&mutex_, [this, count]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return results_.size() == count;
    });
    return std::move(results_);
  }

 private:
  std::vector<std::unique_ptr<v1::GatewayService::Stub>> stubs_;
  Mutex mutex_;
  std::vector<v1::GatewayService::Stub*> idle_ ABSL_GUARDED_BY(mutex_);
  std::vector<CallResult> results_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

LoadRun RunLoad(const LoadTarget& target, const LoadOptions& options,
                const std::vector<PlannedRequest>& plan) {
  Clients clients(target, std::min(options.clients, options.requests));
  const absl::Time begin = absl::Now();
  for (const PlannedRequest& planned : plan) {
    absl::SleepFor(begin + planned.arrival - absl::Now());
    v1::GatewayService::Stub* const stub = clients.Take();
    // Where arrivals have times of their own, the wait for a client counts: leaving it out would
    // hide the worst.
    const absl::Time due = options.rate > 0 ? begin + planned.arrival : absl::Now();
    StartCall(*stub, planned, options.deadline, due,
              [&clients, stub](CallResult result) { clients.Done(stub, std::move(result)); });
  }
  LoadRun run;
  run.results = clients.WaitFor(plan.size());
  run.duration = absl::Now() - begin;
  return run;
}

}  // namespace llama
