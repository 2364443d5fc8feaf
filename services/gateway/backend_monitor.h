#ifndef LLAMA_SERVICES_GATEWAY_BACKEND_MONITOR_H_
#define LLAMA_SERVICES_GATEWAY_BACKEND_MONITOR_H_

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/mutex.h"
#include "common/rpc/serving_gate.h"
#include "llama/v1/tokenizer_service.grpc.pb.h"
#include "services/gateway/call_admission.h"
#include "services/gateway/model_replicas.h"

namespace llama {

// What the gateway knows of the services behind it while both serve.
struct Backends {
  v1::GetTokenizerInfoResponse tokenizer;
  ModelPlaces places;  // Of the model, over all replicas that are used.
  // By id: the bytes and the spelling of every token.
  std::shared_ptr<const std::vector<v1::VocabularyEntry>> vocabulary;
};

// Asks the services again and again whether they serve and fit each other, and opens or shuts the
// gate accordingly: it is open while the tokenizer and a replica of the model do. LOADING and the
// like pass unchanged; BACKEND_UNREACHABLE, or TOKENIZER_MISMATCH. Thread-safe.
class BackendMonitor {
 public:
  // Starts a thread. `on_change` is called on it with whether the gateway is ready. All must
  // outlive the monitor.
  BackendMonitor(v1::TokenizerService::Stub& tokenizer, ModelReplicas& models, ServingGate& gate,
                 std::function<void(bool)> on_change);
  ~BackendMonitor();

  // The last that were found serving; null before the first. Needed by calls that the gate let in.
  std::shared_ptr<const Backends> backends() const;

 private:
  void Run();
  absl::StatusOr<std::shared_ptr<const Backends>> Look() const;

  v1::TokenizerService::Stub& tokenizer_;
  ModelReplicas& models_;
  ServingGate& gate_;
  const std::function<void(bool)> on_change_;
  mutable Mutex mutex_;
  std::shared_ptr<const Backends> backends_ ABSL_GUARDED_BY(mutex_);
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace llama

#endif  // LLAMA_SERVICES_GATEWAY_BACKEND_MONITOR_H_
