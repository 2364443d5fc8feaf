#include "services/model/bench/replies.h"

#include <memory>
#include <random>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "common/mutex.h"

namespace llama {
namespace {

// Counts the ends of replies, and keeps the first that is an error.
class Ends {
 public:
  void Add(const absl::Status& status) {
    const MutexLock lock(&mutex_);
    ++count_;
    status_.Update(status);
  }
  absl::Status Await(int64_t count) {
    const MutexLock lock(&mutex_,
                         [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return count_ == count; });
    return status_;
  }

 private:
  Mutex mutex_;
  int64_t count_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
};

class EndSink final : public EventSink {
 public:
  explicit EndSink(Ends& ends) : ends_(ends) {}
  void Write(Event) override {}
  void Finish(const absl::Status& status) override { ends_.Add(status); }
  bool writable() const override { return true; }
  bool cancelled() const override { return false; }

 private:
  Ends& ends_;
};

}  // namespace

absl::Status GenerateReplies(Engine& engine, uint32_t vocab_size, const ReplyPlan& plan) {
  std::mt19937_64 random(plan.seed);
  Ends ends;
  for (int64_t i = 0; i < plan.streams; ++i) {
    GenerateRequest request = {.sampling = {.temperature = 1, .seed = random()},
                               .stopping = {.max_tokens = plan.tokens, .ignore_eos = true},
                               .tokens = true};
    for (int64_t t = 0; t < kReplyPromptTokens; ++t) {
      request.prompt.push_back(static_cast<TokenId>(random() % vocab_size));
    }
    const absl::Status submitted =
        engine.Submit(std::move(request), std::make_shared<EndSink>(ends));
    if (!submitted.ok()) ends.Add(submitted);
  }
  return ends.Await(plan.streams);
}

}  // namespace llama
