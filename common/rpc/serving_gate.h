#ifndef LLAMA_COMMON_RPC_SERVING_GATE_H_
#define LLAMA_COMMON_RPC_SERVING_GATE_H_

#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/mutex.h"

namespace llama {

// The door that every call of a service passes: it is shut while the service loads and when it
// drains, and counts the calls inside. Knows no gRPC. Thread-safe; outlives its passes.
class ServingGate {
 public:
  // Proof that a call was let in. The call is over when it is destroyed.
  class Pass {
   public:
    Pass(Pass&& other) noexcept;
    Pass& operator=(Pass&& other) noexcept;
    ~Pass();

   private:
    friend class ServingGate;
    explicit Pass(ServingGate* gate) : gate_(gate) {}
    ServingGate* gate_;  // Null once moved from.
  };

  // Loading, at 0 percent.
  ServingGate();

  // Errors: UNAVAILABLE (LOADING, metadata `percent`, with RetryInfo; DRAINING), or the status
  // given to SetUnavailable().
  absl::StatusOr<Pass> Enter();
  // The same answer without entering.
  absl::Status Check() const;

  // Draining is final: the others change nothing then.
  void SetLoading(int64_t percent);
  void SetServing();
  // For a service that needs others: why it cannot answer now.
  void SetUnavailable(absl::Status status);
  void SetDraining();

  // Whether every call was over by `deadline`.
  bool WaitUntilEmpty(absl::Time deadline);
  int64_t calls() const;

 private:
  void Leave();

  mutable Mutex mutex_;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t calls_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace llama

#endif  // LLAMA_COMMON_RPC_SERVING_GATE_H_
