#ifndef LLAMA_SERVICES_MODEL_ENGINE_ENGINE_CORE_H_
#define LLAMA_SERVICES_MODEL_ENGINE_ENGINE_CORE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/mutex.h"
#include "services/model/engine/admission.h"
#include "services/model/engine/load_meter.h"
#include "services/model/engine/prefill_pacer.h"
#include "services/model/engine/request.h"
#include "services/model/engine/request_validation.h"
#include "services/model/engine/sampler.h"
#include "services/model/engine/scheduler.h"
#include "services/model/engine/sequence.h"
#include "services/model/engine/wait_forecast.h"
#include "services/model/transformer/transformer.h"

namespace llama {

// Told of each step, on the engine's thread; must not block, nor call the engine.
using StepObserver = std::function<void(const StepRecord&, const StepWaits&)>;

struct EngineOptions {
  int64_t max_running = 32;  // Sequences in the batch.
  int64_t max_waiting = 64;  // Requests that wait for a place.
  int64_t max_waiting_prefill_tokens =
      262144;                 // Prompt tokens not yet computed, over all requests.
  StepObserver on_step = {};  // Optional. What it refers to outlives the engine.
};

// Since the start.
struct EngineTotals {
  int64_t prompt_tokens = 0;         // Of the requests that began to be computed.
  int64_t cached_prompt_tokens = 0;  // Of these, found in the prefix cache.
  int64_t prefill_tokens = 0;        // Computed, of prompts; again where a request was preempted.
  int64_t decode_tokens = 0;         // Computed, of replies; likewise.
  int64_t reply_tokens = 0;          // Drawn.
  int64_t preemptions = 0;
  int64_t cancelled = 0;  // Dropped because nobody listened any more.
  int64_t expired = 0;    // Dropped at their deadline.
};

// As GetLoadResponse, and the totals.
struct EngineLoad {
  int64_t running = 0;
  int64_t waiting = 0;
  int64_t waiting_prefill_tokens = 0;
  int64_t kv_cache_bytes_used = 0;
  int64_t kv_cache_bytes_cached = 0;
  int64_t kv_cache_bytes_total = 0;
  double prefill_tokens_per_second = 0;
  double decode_tokens_per_second = 0;
  double prefix_cache_hit_rate = 0;
  absl::Duration max_decode_gap;
  // How long until somebody who waits gets a place if all are taken, now and by requests like the
  // last ones. Unset where nothing is known of them.
  std::optional<absl::Duration> wait_when_full = {};
  EngineTotals totals = {};
};

struct EngineCoreOptions {
  ModelLimits model = {};
  EngineOptions engine = {};
  int64_t max_batch_tokens = 512;
  int64_t max_batch_logits = 64;
  int64_t kv_blocks = 0;
  int64_t kv_block_bytes = 0;
};

// Threads that work together: run(work) calls work(0) … work(count - 1) at the same time, and
// returns when all have returned.
struct WorkingThreads {
  size_t count = 1;
  std::function<void(absl::FunctionRef<void(size_t thread)> work)> run = [](auto work) { work(0); };
};

// All of the engine but its thread, so that tests may step it through hours in no time: who calls
// Step() makes the clock go.
//
// Submit(), Wake() and load() are thread-safe; the rest is for one thread.
class EngineCore {
 public:
  // Transformer::Forward() over the cache, or what stands in for it.
  using ForwardPass = std::function<void(std::span<const BatchToken>, std::span<float> logits)>;
  using Clock = std::function<absl::Time()>;

  // `threads` draw from the logits; sinks are called on any of them.
  EngineCore(const EngineCoreOptions& options, ForwardPass forward, Clock clock,
             WorkingThreads threads = {});
  // Ends the requests that are left with CANCELLED.
  ~EngineCore();

  // As Engine's.
  absl::Status Submit(GenerateRequest request, std::shared_ptr<EventSink> sink);
  absl::Status Submit(ScoreRequest request, std::shared_ptr<EventSink> sink);
  void Wake();
  EngineLoad load() const;

  // Takes what has arrived, drops what is over, and computes a batch. False if there was none to
  // compute: then nothing happens until next_event(), or a call of Submit() or Wake().
  bool Step();
  // For the forward pass to call now and then, on its thread: also in a step that takes long, those
  // that wait hear of it.
  void ReportWithinStep();
  absl::Time next_event() const;
  // The blocks of the KV cache that each request uses.
  std::vector<std::span<const KvBlock>> owned_blocks() const;
  // Waits for that, or for Stop(). False once stopped.
  bool AwaitWork();
  // Thread-safe.
  void Stop();
  bool stopped() const;

 private:
  // Whether the request has a place. If so it counts as waiting, and Enqueue() must follow.
  absl::Status Reserve(Sequence& sequence, int64_t cache_tokens, absl::Time deadline);
  // What there is to do, with what has arrived since the thread has looked.
  WorkAhead AheadWithArrivals(absl::Time now) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Backlog BacklogOf(const std::string& caller) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Enqueue(std::unique_ptr<Sequence> arrival);
  void TakeArrivals();
  void ReportProgress(absl::Time now);
  void DropEnded(absl::Time now);
  // Returns how many ended.
  int64_t Compute(const std::vector<Slice>& slices);
  // A slice's logits for its sequence.
  struct Delivery {
    Sequence* sequence = nullptr;
    int64_t begin = 0;  // Positions that have logits.
    int64_t end = 0;
    size_t row = 0;     // Of the first, in logits_.
    int64_t drawn = 0;  // Tokens, before this.
    bool over = false;  // The sequence, after this.
  };
  // Gives each sequence its logits, on all threads: who draws does not change what is drawn.
  void Deliver(std::span<Delivery> deliveries, absl::Time now);
  void Deliver(Delivery& delivery, Sampler& sampler, absl::Time now);
  void RememberEnded(const Sequence& sequence, absl::Time now);
  Sequence& SequenceOf(const Schedulable* schedulable);
  void UpdateQueueFigures() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // `ended`: since the last plan.
  void Publish(absl::Time now, int64_t ended);
  WorkAhead LookAhead(absl::Time now, const LoadFigures& figures, int64_t ended) const;

  const EngineCoreOptions options_;
  const ModelLimits limits_;
  const ForwardPass forward_;
  const Clock clock_;
  const WorkingThreads threads_;

  // Of the thread that steps.
  Scheduler scheduler_;            // Its pool is thread-safe.
  std::vector<Sampler> samplers_;  // [threads]
  PrefillPacer pacer_;
  LoadMeter meter_;
  EngineTotals totals_;
  std::vector<float> logits_;  // [max_batch_logits, vocab_size]
  std::vector<BatchToken> batch_;
  std::vector<std::unique_ptr<Sequence>> sequences_;
  absl::Time next_report_ = absl::InfinitePast();  // Within a step.

  mutable Mutex mutex_;
  std::vector<std::unique_ptr<Sequence>> arrivals_ ABSL_GUARDED_BY(mutex_);
  // Of the requests that are, or are about to be, in `arrivals_`, over all and by caller.
  Waiting arriving_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, Waiting> arriving_of_ ABSL_GUARDED_BY(mutex_);
  // Of those that the scheduler has.
  Waiting waiting_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, Waiting> waiting_of_ ABSL_GUARDED_BY(mutex_);
  int64_t free_places_ ABSL_GUARDED_BY(mutex_);  // That nobody waits for.
  double best_prefill_tokens_per_second_ ABSL_GUARDED_BY(mutex_) = 0;
  double reply_share_ ABSL_GUARDED_BY(mutex_) = 1;
  // What the last requests that ended have been, up to max_running of them.
  std::deque<Work> ended_ ABSL_GUARDED_BY(mutex_);
  WorkAhead ahead_ ABSL_GUARDED_BY(mutex_);
  EngineLoad load_ ABSL_GUARDED_BY(mutex_);
  bool wake_ ABSL_GUARDED_BY(mutex_) = false;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_ENGINE_ENGINE_CORE_H_
