#include "common/rpc/serving_gate.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status_details.h"

namespace llama {
namespace {

absl::Status Loading(int64_t percent) {
  absl::Status status = MakeStatus(absl::StatusCode::kUnavailable, "LOADING",
                                   absl::StrCat("still loading, ", percent, " % done"),
                                   {{"percent", absl::StrCat(percent)}});
  SetRetryDelay(absl::Seconds(1), status);
  return status;
}

}  // namespace

ServingGate::Pass::Pass(Pass&& other) noexcept : gate_(std::exchange(other.gate_, nullptr)) {}

ServingGate::Pass& ServingGate::Pass::operator=(Pass&& other) noexcept {
  std::swap(gate_, other.gate_);
  return *this;
}

ServingGate::Pass::~Pass() {
  if (gate_ != nullptr) gate_->Leave();
}

ServingGate::ServingGate() : status_(Loading(0)) {}

absl::StatusOr<ServingGate::Pass> ServingGate::Enter() {
  MutexLock lock(&mutex_);
  if (!status_.ok()) return status_;
  ++calls_;
  return Pass(this);
}

absl::Status ServingGate::Check() const {
  MutexLock lock(&mutex_);
  return status_;
}

void ServingGate::SetLoading(int64_t percent) { SetUnavailable(Loading(percent)); }

void ServingGate::SetServing() { SetUnavailable(absl::OkStatus()); }

void ServingGate::SetUnavailable(absl::Status status) {
  MutexLock lock(&mutex_);
  if (!draining_) status_ = std::move(status);
}

void ServingGate::SetDraining() {
  MutexLock lock(&mutex_);
  draining_ = true;
  status_ = MakeStatus(absl::StatusCode::kUnavailable, "DRAINING", "the server is shutting down");
}

bool ServingGate::WaitUntilEmpty(absl::Time deadline) {
  MutexLock lock(&mutex_);
  return mutex_.AwaitUntil([this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return calls_ == 0; },
                           deadline);
}

int64_t ServingGate::calls() const {
  MutexLock lock(&mutex_);
  return calls_;
}

void ServingGate::Leave() {
  MutexLock lock(&mutex_);
  --calls_;
}

}  // namespace llama
