#ifndef LLAMA_COMMON_RPC_CALL_NOTES_H_
#define LLAMA_COMMON_RPC_CALL_NOTES_H_

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/mutex.h"
#include "common/rpc/call_record.h"

namespace llama {

// What a service adds to the record of a call while it answers. May outlive the call: what is noted
// after its end is lost. Thread-safe.
class CallNotes {
 public:
  static constexpr size_t kMaxRequestIdBytes = 64;  // Longer ones are cut.

  explicit CallNotes(std::string request_id) : request_id_(std::move(request_id)) {}

  std::string request_id() const {
    MutexLock lock(&mutex_);
    return request_id_;
  }
  // Instead of the one that was made or came in the metadata.
  void SetRequestId(std::string id) {
    MutexLock lock(&mutex_);
    request_id_ = std::move(id);
    request_id_.resize(std::min(request_id_.size(), kMaxRequestIdBytes));
  }
  void SetQueueTime(absl::Duration queue) {
    MutexLock lock(&mutex_);
    queue_ = queue;
  }
  void SetPromptTokens(int64_t tokens) {
    MutexLock lock(&mutex_);
    prompt_tokens_ = tokens;
  }
  void SetCachedPromptTokens(int64_t tokens) {
    MutexLock lock(&mutex_);
    cached_prompt_tokens_ = tokens;
  }
  // As they come, so that a call that is cut short has them too. The first ones set the time.
  void AddCompletionTokens(int64_t tokens) {
    MutexLock lock(&mutex_);
    if (!first_token_.has_value()) first_token_ = absl::Now() - received_;
    completion_tokens_ = completion_tokens_.value_or(0) + tokens;
  }
  // In place of the sum so far.
  void SetCompletionTokens(int64_t tokens) {
    MutexLock lock(&mutex_);
    completion_tokens_ = tokens;
  }

  void Fill(CallRecord& record) const {
    MutexLock lock(&mutex_);
    record.request_id = request_id_;
    record.received = received_;
    record.total = absl::Now() - received_;
    record.queue = queue_;
    record.first_token = first_token_;
    record.prompt_tokens = prompt_tokens_;
    record.cached_prompt_tokens = cached_prompt_tokens_;
    record.completion_tokens = completion_tokens_;
  }

 private:
  const absl::Time received_ = absl::Now();
  mutable Mutex mutex_;
  std::string request_id_ ABSL_GUARDED_BY(mutex_);
  std::optional<absl::Duration> queue_ ABSL_GUARDED_BY(mutex_);
  std::optional<absl::Duration> first_token_ ABSL_GUARDED_BY(mutex_);
  std::optional<int64_t> prompt_tokens_ ABSL_GUARDED_BY(mutex_);
  std::optional<int64_t> cached_prompt_tokens_ ABSL_GUARDED_BY(mutex_);
  std::optional<int64_t> completion_tokens_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace llama

#endif  // LLAMA_COMMON_RPC_CALL_NOTES_H_
