#include "services/gateway/model_replicas.h"

#include <algorithm>
#include <map>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/proto_duration.h"
#include "common/rpc/grpc_status.h"
#include "common/status_details.h"
#include "common/status_macros.h"
#include "services/gateway/backend_status.h"
#include "services/gateway/probe_context.h"
#include "services/gateway/replica_choice.h"

namespace llama {
namespace {

absl::Status CheckFit(int64_t tokenizer, int64_t model) {
  if (tokenizer == model) return absl::OkStatus();
  return MakeStatus(absl::StatusCode::kFailedPrecondition, "TOKENIZER_MISMATCH",
                    absl::StrCat("the tokenizer has ", tokenizer, " tokens, the model ", model,
                                 ": they do not belong together"),
                    {{"tokenizer_vocabulary_size", absl::StrCat(tokenizer)},
                     {"model_vocabulary_size", absl::StrCat(model)}});
}

}  // namespace

struct ModelReplicas::Replica {
  Replica(const ReplicaAddress& where, const std::shared_ptr<grpc::ChannelCredentials>& credentials)
      : address(where),
        id(StableHash(where.target)),
        stubs(where.target, credentials, {.authority = where.authority}) {}

  const ReplicaAddress address;
  const uint64_t id;
  StubPool<v1::ModelService> stubs;
  // Guarded by the set's mutex:
  State state = State::kAway;
  int64_t calls = 0;

  std::string said;  // Of it, to report(). Of Look()'s thread.
};

// One replica's answer to Look().
struct ModelReplicas::Probe {
  std::shared_ptr<Replica> replica;
  std::unique_ptr<grpc::ClientContext> info_context = std::make_unique<grpc::ClientContext>();
  v1::GetModelInfoRequest info_request = {};
  v1::GetModelInfoResponse info = {};
  absl::Status status = absl::OkStatus();  // Of the model's info.
  std::unique_ptr<grpc::ClientContext> load_context = std::make_unique<grpc::ClientContext>();
  v1::GetLoadRequest load_request = {};
  v1::GetLoadResponse load = {};  // Empty where it failed.
};

ModelReplicas::Lease::Lease(ModelReplicas& replicas, std::shared_ptr<Replica> replica)
    : replicas_(replicas), replica_(std::move(replica)), stub_(replica_->stubs.Take()) {}

ModelReplicas::Lease::~Lease() {
  MutexLock lock(&replicas_.mutex_);
  --replica_->calls;
}

std::unique_ptr<ModelReplicas::Lease> ModelReplicas::Take(uint64_t key) {
  auto lease = Choose(key, State::kUsed, nullptr);
  return lease != nullptr ? std::move(lease) : Choose(key, State::kAway, nullptr);
}

std::unique_ptr<ModelReplicas::Lease> ModelReplicas::TakeOther(uint64_t key, const Lease& failed) {
  return Choose(key, State::kUsed, failed.replica_.get());
}

std::unique_ptr<ModelReplicas::Lease> ModelReplicas::Choose(uint64_t key, State state,
                                                            const Replica* except) {
  std::shared_ptr<Replica> chosen;
  {
    MutexLock lock(&mutex_);
    std::vector<ReplicaLoad> loads;
    loads.reserve(replicas_.size());
    for (const auto& replica : replicas_) {
      loads.push_back({.id = replica->id,
                       .calls = replica->calls,
                       .usable = replica->state == state && replica.get() != except});
    }
    const std::optional<size_t> choice = ChooseReplica(key, loads);
    if (!choice.has_value()) return nullptr;
    chosen = replicas_[*choice];
    ++chosen->calls;
  }
  return std::unique_ptr<Lease>(new Lease(*this, std::move(chosen)));
}

void ModelReplicas::Failed(Replica& replica, const grpc::Status& status) {
  if (!IsAway(status)) return;
  addresses_.Refresh();
  MutexLock lock(&mutex_);
  if (replica.state == State::kUsed) replica.state = State::kAway;
}

absl::StatusOr<ModelPlaces> ModelReplicas::Look(int64_t tokenizer_vocabulary_size) {
  ASSIGN_OR_RETURN(const std::vector<std::shared_ptr<Replica>> replicas, TakeUpAddresses());
  std::vector<Probe> probes;
  for (const auto& replica : replicas) probes.push_back({.replica = replica});
  Ask(probes);
  for (Probe& probe : probes) {
    if (!probe.status.ok()) continue;
    probe.status = CheckFit(tokenizer_vocabulary_size, probe.info.dimensions().vocab_size());
  }
  const std::string digest = ModelOfMost(probes);
  const bool alone = probes.size() == 1;
  ModelPlaces places;
  bool used = false;
  const Probe* failed = nullptr;
  for (Probe& probe : probes) {
    if (probe.status.ok() && probe.info.model().digest() != digest) {
      SetState(*probe.replica, State::kOther,
               absl::FailedPreconditionError(
                   absl::StrCat("it serves another model (", probe.info.model().name(), ", ",
                                probe.info.model().digest(), ") than the others (", digest, ")")),
               alone);
    } else if (probe.status.ok()) {
      used = true;
      places.max_running += probe.info.max_running();
      places.max_waiting += probe.info.max_waiting();
      if (probe.load.has_wait_when_full()) {
        const absl::Duration wait = FromProto(probe.load.wait_when_full());
        places.wait_when_full = std::min(places.wait_when_full.value_or(wait), wait);
      }
      SetState(*probe.replica, State::kUsed, probe.status, alone);
    } else {
      const bool tells_more = GetReason(probe.status) == "LOADING";
      if (failed == nullptr || (tells_more && GetReason(failed->status) != "LOADING")) {
        failed = &probe;
      }
      SetState(*probe.replica,
               absl::IsFailedPrecondition(probe.status) ? State::kOther : State::kAway,
               probe.status, alone);
      addresses_.Refresh();
    }
  }
  if (!used) return failed->status;
  digest_ = digest;
  return places;
}

int64_t ModelReplicas::connections() const {
  MutexLock lock(&mutex_);
  int64_t connections = 0;
  for (const auto& replica : replicas_) connections += replica->stubs.connections();
  return connections;
}

// The replicas of the addresses that there are now; those that have gone get no further calls.
absl::StatusOr<std::vector<std::shared_ptr<ModelReplicas::Replica>>>
ModelReplicas::TakeUpAddresses() {
  const absl::StatusOr<std::vector<ReplicaAddress>> addresses = addresses_.Get();
  if (!addresses.ok()) return BackendFailed("model", ToGrpcStatus(addresses.status()));
  std::vector<std::shared_ptr<Replica>> now;
  std::vector<std::shared_ptr<Replica>> before;
  {
    MutexLock lock(&mutex_);
    for (const ReplicaAddress& address : *addresses) {
      const auto known =
          std::find_if(replicas_.begin(), replicas_.end(),
                       [&address](const auto& replica) { return replica->address == address; });
      now.push_back(known != replicas_.end() ? *known
                                             : std::make_shared<Replica>(address, credentials_));
    }
    before = std::exchange(replicas_, now);
  }
  for (const auto& replica : before) {
    if (std::find(now.begin(), now.end(), replica) == now.end()) {
      report_(absl::StrCat("model replica ", replica->address.target, ": gone from ",
                           replica->address.authority));
    }
  }
  return now;
}

void ModelReplicas::Ask(std::vector<Probe>& probes) {
  Mutex mutex;
  size_t answers = 0;
  const auto answered = [&mutex, &answers] {
    MutexLock lock(&mutex);
    ++answers;
  };
  for (Probe& probe : probes) {
    SetUpProbe(*probe.info_context);
    SetUpProbe(*probe.load_context);
    auto& stub = *probe.replica->stubs.first().async();
    stub.GetModelInfo(probe.info_context.get(), &probe.info_request, &probe.info,
                      [&probe, &answered](const grpc::Status& status) {
                        if (!status.ok()) probe.status = ProbeFailed("model", status);
                        answered();
                      });
    stub.GetLoad(probe.load_context.get(), &probe.load_request, &probe.load,
                 [&probe, &answered](const grpc::Status& status) {
                   if (!status.ok()) probe.load.Clear();
                   answered();
                 });
  }
  MutexLock lock(&mutex, [&] { return answers == 2 * probes.size(); });
}

std::string ModelReplicas::ModelOfMost(const std::vector<Probe>& probes) const {
  std::map<std::string, int64_t> replicas = {{digest_, 0}};
  for (const Probe& probe : probes) {
    if (probe.status.ok()) ++replicas[probe.info.model().digest()];
  }
  auto most = replicas.find(digest_);
  for (auto model = replicas.begin(); model != replicas.end(); ++model) {
    if (model->second > most->second) most = model;
  }
  return most->first;
}

// `alone`: the gateway's own word on its state says it all.
void ModelReplicas::SetState(Replica& replica, State state, const absl::Status& status,
                             bool alone) {
  {
    MutexLock lock(&mutex_);
    replica.state = state;
  }
  const std::string says =
      state == State::kUsed ? "used" : absl::StrCat("not used: ", status.message());
  if (std::exchange(replica.said, says) == says || alone) return;
  report_(absl::StrCat("model replica ", replica.address.target, ": ", says));
}

}  // namespace llama
