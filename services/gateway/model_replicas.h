#ifndef LLAMA_SERVICES_GATEWAY_MODEL_REPLICAS_H_
#define LLAMA_SERVICES_GATEWAY_MODEL_REPLICAS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/mutex.h"
#include "common/rpc/channel.h"
#include "grpcpp/support/status.h"
#include "llama/v1/model_service.grpc.pb.h"
#include "services/gateway/call_admission.h"
#include "services/gateway/model_addresses.h"
#include "services/gateway/stub_pool.h"

namespace llama {

// The replicas of the model service behind a gateway: which there are, which of them are used, and
// which one a call goes to (ChooseReplica()). Thread-safe.
//
// Used are those that answer, have as many tokens as the tokenizer, and serve the same model: the
// one that most of them have, or, where two models have as many, the one that was used last.
class ModelReplicas {
  struct Replica;

 public:
  // One call's use of a replica, which counts as one of its calls until it is gone.
  class Lease {
   public:
    ~Lease();
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;

    v1::ModelService::Stub& stub() { return *stub_; }
    // How the call, which was not cancelled here, failed. A replica that is away (IsAway()) gets no
    // calls until it answers again, as long as there are others.
    void Failed(const grpc::Status& status) { replicas_.Failed(*replica_, status); }

   private:
    friend class ModelReplicas;
    Lease(ModelReplicas& replicas, std::shared_ptr<Replica> replica);

    ModelReplicas& replicas_;
    const std::shared_ptr<Replica> replica_;
    const std::shared_ptr<v1::ModelService::Stub> stub_;
  };

  // `report` gets a line when a replica comes, goes, is used or is not used any more, on Look()'s
  // thread. Of a replica that is the only one nothing is said: Look() has it all.
  explicit ModelReplicas(
      ModelAddresses addresses,
      std::shared_ptr<grpc::ChannelCredentials> credentials = grpc::InsecureChannelCredentials(),
      std::function<void(absl::string_view)> report = [](absl::string_view) {})
      : addresses_(std::move(addresses)),
        credentials_(std::move(credentials)),
        report_(std::move(report)) {}

  // The replica for a call with that key. The lease must not outlive this. Where no replica is
  // used, one that may just have come back; null if there is none at all.
  std::unique_ptr<Lease> Take(uint64_t key);
  // Another one that is used, for a call that failed on `failed`; null if there is none.
  std::unique_ptr<Lease> TakeOther(uint64_t key, const Lease& failed);

  // Takes up the addresses that there are now, asks all replicas for their model and their load, at
  // the same time, and decides which ones are used: for that, the load does not matter. Returns the
  // places of all that are used together, with the shortest of the waits that are known. For one
  // thread. Errors, if none is used: why, of one that loads or else of the first; UNAVAILABLE
  // (BACKEND_UNREACHABLE; what it says itself), FAILED_PRECONDITION (TOKENIZER_MISMATCH).
  absl::StatusOr<ModelPlaces> Look(int64_t tokenizer_vocabulary_size);

  // Open, over all replicas.
  int64_t connections() const;

 private:
  enum class State {
    kUsed,
    kAway,   // It did not answer, or said that it cannot serve now.
    kOther,  // It serves what the others, or the tokenizer, do not fit.
  };
  struct Probe;

  void Failed(Replica& replica, const grpc::Status& status);
  std::unique_ptr<Lease> Choose(uint64_t key, State state, const Replica* except);
  absl::StatusOr<std::vector<std::shared_ptr<Replica>>> TakeUpAddresses();
  static void Ask(std::vector<Probe>& probes);
  // What most have of those whose status is OK.
  std::string ModelOfMost(const std::vector<Probe>& probes) const;
  void SetState(Replica& replica, State state, const absl::Status& status, bool alone);

  ModelAddresses addresses_;
  const std::shared_ptr<grpc::ChannelCredentials> credentials_;
  const std::function<void(absl::string_view)> report_;
  std::string digest_;  // Of the model that was used last. Of Look()'s thread.
  mutable Mutex mutex_;
  std::vector<std::shared_ptr<Replica>> replicas_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace llama

#endif  // LLAMA_SERVICES_GATEWAY_MODEL_REPLICAS_H_
