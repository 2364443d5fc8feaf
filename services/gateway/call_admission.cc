#include "services/gateway/call_admission.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/proto_duration.h"
#include "common/status_details.h"

namespace llama {
namespace {

// A caller may have so many times as many calls as are free, as in the engine's queue: one alone
// leaves an eighth for the next.
constexpr int64_t kShare = 7;
// So small a part of max_entering is no flood: the model answers all of them soon.
constexpr int64_t kFew = 4;
// Refusals in a row that tell that the next one would be refused, too.
constexpr int64_t kInARow = 4;
// The longest that they tell so: who leaves makes room sooner than the model foresaw.
constexpr absl::Duration kMostMemory = absl::Milliseconds(250);
// As the model's.
constexpr absl::Duration kLeastRetryDelay = absl::Milliseconds(10);
constexpr absl::Duration kMostRetryDelay = absl::Hours(1);
// Where nothing else is known. Turns come quickly; who holds up a thousand calls may take longer.
constexpr absl::Duration kRetryDelayOfWaiting = absl::Milliseconds(100);
constexpr absl::Duration kRetryDelayOfCalls = absl::Seconds(1);
// Beyond so many callers, those without calls are forgotten.
constexpr size_t kMaxCallers = 1024;

// Of the model's limits, the one that counts requests of any size.
constexpr absl::string_view kModelsLimit = "max_waiting";

absl::Status QueueFull(absl::string_view limit, absl::string_view message, absl::Duration delay) {
  absl::Status status = MakeStatus(absl::StatusCode::kResourceExhausted, "QUEUE_FULL", message,
                                   {{"limit", std::string(limit)}});
  SetRetryDelay(delay, status);
  return status;
}

// When the model will have room for another request, if it refused one because too many wait.
std::optional<absl::Duration> RetryDelayOf(const absl::Status& status) {
  if (GetReason(status) != "QUEUE_FULL") return std::nullopt;
  const auto info = GetDetail<google::rpc::ErrorInfo>(status);
  const auto limit = info->metadata().find("limit");
  // A shorter prompt might find room where one of another length did not.
  if (limit == info->metadata().end() || limit->second != kModelsLimit) return std::nullopt;
  const auto retry = GetDetail<google::rpc::RetryInfo>(status);
  if (!retry.has_value()) return std::nullopt;
  return FromProto(retry->retry_delay());
}

}  // namespace

absl::StatusOr<std::unique_ptr<CallAdmission::Place>> CallAdmission::Enter(
    const std::string& caller, const ModelPlaces& places) {
  MutexLock lock(&mutex_);
  const absl::Time now = clock_();
  Forget(now);
  Caller& own = callers_[caller];
  if (const auto refusal = Foresee(own, now); refusal.has_value()) return *refusal;
  if (own.calls >= kShare * (options_.max_calls - calls_)) {
    return QueueFull("max_calls",
                     absl::StrCat("too many calls to the gateway: ", calls_, " are under way"),
                     kRetryDelayOfCalls);
  }
  if (entering_ >= options_.max_entering / kFew && FillsModel(own, places)) {
    return QueueFull(
        kModelsLimit,
        absl::StrCat(calls_, " requests run or wait, of ", places.max_running, " and ",
                     places.max_waiting, " at most, and ", own.calls, " of them are this caller's"),
        WaitForModel(own, places, now));
  }
  if (entering_ >= options_.max_entering) {
    const auto waiting = static_cast<int64_t>(own.waiting.size());
    const bool full = waiting >= kShare * (options_.max_waiting - waiting_);
    own.overflowed = full || (own.overflowed && waiting > 0);
    if (own.overflowed) {
      // As far as is known, the model has places: it is for the line that the call would wait, and
      // that is as short as the model's answers take. If it has refused the caller, however, it
      // is for what it said.
      return QueueFull(
          "max_waiting_calls",
          absl::StrCat("too many calls to the gateway: ", waiting_, " wait for their turn"),
          std::max(kRetryDelayOfWaiting, own.again - now));
    }
  }
  ++calls_;
  ++own.calls;
  return std::unique_ptr<Place>(new Place(*this, caller));
}

int64_t CallAdmission::calls() const {
  MutexLock lock(&mutex_);
  return calls_;
}

void CallAdmission::AskForTurn(Place& place, Turn turn) {
  {
    MutexLock lock(&mutex_);
    if (entering_ >= options_.max_entering) {
      place.state_ = Place::State::kWaiting;
      place.turn_ = std::move(turn);
      Caller& caller = callers_[place.caller_];
      if (caller.waiting.empty()) turns_.push_back(place.caller_);
      caller.waiting.push_back(&place);
      ++waiting_;
      return;
    }
    ++entering_;
    place.state_ = Place::State::kEntering;
  }
  turn(absl::OkStatus());
}

void CallAdmission::Answer(Place& place, const absl::Status& status) {
  std::optional<absl::Status> refusal;
  std::vector<Turn> refused;
  std::vector<Turn> next;
  {
    MutexLock lock(&mutex_);
    if (place.state_ != Place::State::kEntering) return;
    place.state_ = Place::State::kAnswered;
    --entering_;
    const absl::Time now = clock_();
    Caller& caller = callers_[place.caller_];
    Remember(status, now, caller);
    refusal = Foresee(caller, now);
    if (refusal.has_value()) refused = TakeAllOf(place.caller_, caller);
    while (auto turn = TakeNext()) next.push_back(*std::move(turn));
  }
  for (const Turn& turn : next) turn(absl::OkStatus());
  for (const Turn& turn : refused) turn(*refusal);
}

bool CallAdmission::Withdraw(Place& place) {
  Turn turn;  // Destroyed without the lock: it may own the place.
  MutexLock lock(&mutex_);
  if (place.state_ != Place::State::kWaiting) return false;
  place.state_ = Place::State::kAnswered;
  turn = std::exchange(place.turn_, nullptr);
  Caller& caller = callers_[place.caller_];
  std::erase(caller.waiting, &place);
  --waiting_;
  if (caller.waiting.empty()) std::erase(turns_, place.caller_);
  return true;
}

void CallAdmission::Leave(Place& place) {
  Withdraw(place);
  Answer(place, absl::CancelledError("the call ended"));
  MutexLock lock(&mutex_);
  --calls_;
  --callers_[place.caller_].calls;
}

bool CallAdmission::FillsModel(const Caller& caller, const ModelPlaces& places) const {
  if (places.max_running == 0) return false;
  const int64_t all = std::max<int64_t>(calls_ - places.max_running, 0);
  const int64_t own = std::max<int64_t>(caller.calls - places.max_running, 0);
  return all >= places.max_waiting || own >= kShare * (places.max_waiting - all);
}

absl::Duration CallAdmission::WaitForModel(const Caller& caller, const ModelPlaces& places,
                                           absl::Time now) {
  if (!places.wait_when_full.has_value() && caller.again <= now) return kRetryDelayOfWaiting;
  return std::clamp(
      std::max(places.wait_when_full.value_or(absl::ZeroDuration()), caller.again - now),
      kLeastRetryDelay, kMostRetryDelay);
}

std::optional<absl::Status> CallAdmission::Foresee(const Caller& caller, absl::Time now) {
  if (caller.refusals < kInARow || now >= caller.until) return std::nullopt;
  // Made anew: copies of a status share its details, by counts that ThreadSanitizer cannot see.
  return QueueFull(kModelsLimit, caller.said, std::max(caller.again - now, kLeastRetryDelay));
}

void CallAdmission::Remember(const absl::Status& status, absl::Time now, Caller& caller) {
  if (status.ok()) caller.refusals = 0;
  const auto delay = RetryDelayOf(status);
  if (!delay.has_value()) return;
  ++caller.refusals;
  caller.said = std::string(status.message());
  caller.again = now + *delay;
  // The delay comes true within a factor of two: in its first half nothing changes by itself.
  caller.until = now + std::min(*delay / 2, kMostMemory);
}

std::optional<CallAdmission::Turn> CallAdmission::TakeNext() {
  if (turns_.empty() || entering_ >= options_.max_entering) return std::nullopt;
  std::string name = std::move(turns_.front());
  turns_.pop_front();
  Caller& caller = callers_[name];
  Place& place = *caller.waiting.front();
  caller.waiting.pop_front();
  --waiting_;
  if (!caller.waiting.empty()) turns_.push_back(std::move(name));
  ++entering_;
  place.state_ = Place::State::kEntering;
  return std::exchange(place.turn_, nullptr);
}

std::vector<CallAdmission::Turn> CallAdmission::TakeAllOf(const std::string& name, Caller& caller) {
  std::vector<Turn> turns;
  if (caller.waiting.empty()) return turns;
  for (Place* const place : caller.waiting) {
    place->state_ = Place::State::kAnswered;
    turns.push_back(std::exchange(place->turn_, nullptr));
  }
  waiting_ -= static_cast<int64_t>(turns.size());
  caller.waiting.clear();
  std::erase(turns_, name);
  return turns;
}

void CallAdmission::Forget(absl::Time now) {
  if (callers_.size() < kMaxCallers) return;
  absl::erase_if(callers_, [now](const auto& entry) {
    return entry.second.calls == 0 && now >= entry.second.until;
  });
}

}  // namespace llama
