#ifndef LLAMA_SERVICES_GATEWAY_CALL_ADMISSION_H_
#define LLAMA_SERVICES_GATEWAY_CALL_ADMISSION_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/mutex.h"

namespace llama {

struct CallAdmissionOptions {
  int64_t max_calls = 1000;  // Under way, until their clients have all.
  // Of these:
  int64_t max_entering = 32;  // On their way to the model's yes or no.
  int64_t max_waiting = 128;  // That wait to set out.
};

// What the model takes in, over all its replicas; 0: not known.
struct ModelPlaces {
  int64_t max_running = 0;
  int64_t max_waiting = 0;
  // Until one becomes free if all are taken.
  std::optional<absl::Duration> wait_when_full = {};
};

// Which calls a gateway takes in, and when each goes on to the services behind it. gRPC has no
// limit of its own, and a call that the model refuses has cost the tokenizer's work and five ends
// of rpcs by then: of a thousand that come at once each would hear of it after all the others'
// work.
//
// So only a few calls are on their way to the model's answer at a time, and some more wait for
// their turn, the callers' in rotation. A caller of whom too many wait is refused until none does:
// of those that came at once, the last to be let in would otherwise be the last to be told. So is
// one who has as many calls here as the model has places for, as long as others are on their way
// to it: it counts as the model does, but cannot know what other gateways sent. When
// the model has refused a caller several times in a row because too many requests wait (QUEUE_FULL,
// limit "max_waiting"), those of the caller's calls that wait are refused at once, and so are new
// ones, until the model might think otherwise. In a row: of several models behind one address, one
// may be full and others not.
//
// Knows no gRPC. Thread-safe; outlives its places.
class CallAdmission {
 public:
  using Clock = std::function<absl::Time()>;
  // OK when it is the call's turn, or else why it must end. Called with no lock held, on the thread
  // that asks for the turn or on that of another call.
  using Turn = std::function<void(const absl::Status&)>;
  class Place;

  explicit CallAdmission(const CallAdmissionOptions& options = {}, Clock clock = absl::Now)
      : options_(options), clock_(std::move(clock)) {}

  // For one call, which counts until its place is gone. Errors: RESOURCE_EXHAUSTED (QUEUE_FULL,
  // with RetryInfo): too many calls are under way or wait, of this caller or of all (a caller may
  // have 7 times as many as are free), or what the model has said to this caller, or would say.
  absl::StatusOr<std::unique_ptr<Place>> Enter(const std::string& caller,
                                               const ModelPlaces& places = {});

  int64_t calls() const;

 private:
  struct Caller {
    int64_t calls = 0;
    std::deque<Place*> waiting = {};
    bool overflowed = false;  // There were too many since `waiting` was last empty.
    // The model's last answers, if they were refusals:
    int64_t refusals = 0;
    std::string said = {};
    absl::Time again = {};  // When there would be room.
    absl::Time until = {};  // Before this it would say the same.
  };

  void AskForTurn(Place& place, Turn turn);
  void Answer(Place& place, const absl::Status& status);
  bool Withdraw(Place& place);
  void Leave(Place& place);

  // Whether the model has no place for another call, if all calls are with it.
  bool FillsModel(const Caller& caller, const ModelPlaces& places) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // When the model has a place for the caller again, as far as it has said so.
  static absl::Duration WaitForModel(const Caller& caller, const ModelPlaces& places,
                                     absl::Time now);
  // What the model would say now, if it is known that it would refuse.
  static std::optional<absl::Status> Foresee(const Caller& caller, absl::Time now);
  static void Remember(const absl::Status& status, absl::Time now, Caller& caller);
  // Whose turn is next. The turn is to be given without the lock.
  std::optional<Turn> TakeNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::vector<Turn> TakeAllOf(const std::string& name, Caller& caller)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Forget(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const CallAdmissionOptions options_;
  const Clock clock_;
  mutable Mutex mutex_;
  int64_t calls_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t entering_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t waiting_ ABSL_GUARDED_BY(mutex_) = 0;
  // Those that have calls here, and those that were refused lately.
  absl::flat_hash_map<std::string, Caller> callers_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::string> turns_ ABSL_GUARDED_BY(mutex_);  // Callers of calls that wait, in order.
};

// A call's place, until its destruction. Its methods are thread-safe.
class CallAdmission::Place {
 public:
  ~Place() { admission_.Leave(*this); }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

  // Once. Calls `turn` once, now or later, unless the call is withdrawn first.
  void AskForTurn(Turn turn) { admission_.AskForTurn(*this, std::move(turn)); }
  // What the model answered, or why it did not come to that. Only the first answer to a call that
  // has had its turn counts. May give other calls their turns.
  void Answer(const absl::Status& status) { admission_.Answer(*this, status); }
  // Nobody waits for the call any more. True if it had still to wait for its turn: then the turn
  // will not come.
  bool Withdraw() { return admission_.Withdraw(*this); }

 private:
  friend class CallAdmission;
  enum class State { kOutside, kWaiting, kEntering, kAnswered };

  Place(CallAdmission& admission, std::string caller)
      : admission_(admission), caller_(std::move(caller)) {}

  CallAdmission& admission_;
  const std::string caller_;
  // Guarded by the admission's mutex.
  State state_ = State::kOutside;
  Turn turn_;
};

}  // namespace llama

#endif  // LLAMA_SERVICES_GATEWAY_CALL_ADMISSION_H_
