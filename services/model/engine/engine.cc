#include "services/model/engine/engine.h"

#include <algorithm>
#include <deque>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "common/mutex.h"
#include "common/status_macros.h"
#include "services/model/engine/admission.h"
#include "services/model/engine/request_validation.h"
#include "services/model/engine/sampler.h"
#include "services/model/engine/scheduler.h"
#include "services/model/engine/sequence.h"

namespace llama {
namespace {

constexpr absl::Duration kLoadWindow = absl::Minutes(1);

uint64_t PickSeed() {
  std::random_device device;
  return uint64_t{device()} << 32 | device();
}

// What one step did, for the figures of the last minute.
struct StepRecord {
  absl::Time end;
  absl::Duration duration;
  int64_t prefill_tokens = 0;
  int64_t decode_tokens = 0;
  absl::Duration max_gap;
};

}  // namespace

struct Engine::Impl {
  Impl(const ModelConfig& model_config, Transformer& model_transformer, KvCache& kv_cache,
       const EngineOptions& engine_options)
      : transformer(model_transformer),
        cache(kv_cache),
        options(engine_options),
        limits{model_config.vocab_size, model_transformer.options().context_length},
        block_bytes(KvCache::BlockBytes(model_config, kv_cache.type())),
        scheduler({.max_running = engine_options.max_running,
                   .max_batch_tokens = model_transformer.options().max_batch_tokens,
                   .max_batch_logits = model_transformer.options().max_batch_logits,
                   .blocks = kv_cache.blocks()}),
        logits(static_cast<size_t>(model_transformer.options().max_batch_logits *
                                   model_config.vocab_size)) {
    load.kv_cache_bytes_total = cache.blocks() * block_bytes;
    thread = std::thread([this] { Run(); });
  }

  ~Impl() {
    {
      MutexLock lock(&mutex);
      stop = true;
    }
    thread.join();
  }

  // Whether the request has a place. If so, it counts as waiting, and Enqueue() must follow.
  absl::Status Reserve(const AdmissionRequest& request) {
    MutexLock lock(&mutex);
    RETURN_IF_ERROR(
        CheckAdmission(request,
                       {.waiting = load.waiting + arriving,
                        .prefill_tokens = load.waiting_prefill_tokens + arriving_tokens,
                        .prefill_tokens_per_second = load.prefill_tokens_per_second,
                        .best_prefill_tokens_per_second = best_prefill_tokens_per_second},
                       {.max_waiting = options.max_waiting,
                        .max_waiting_prefill_tokens = options.max_waiting_prefill_tokens,
                        .kv_blocks = cache.blocks(),
                        .kv_block_bytes = block_bytes}));
    ++arriving;
    arriving_tokens += request.prefill_tokens;
    return absl::OkStatus();
  }

  void Enqueue(std::unique_ptr<Sequence> sequence) {
    MutexLock lock(&mutex);
    arrivals.push_back(std::move(sequence));
    wake = true;
  }

  void Run() {
    while (TakeArrivals()) {
      DropEnded();
      const std::vector<Slice> slices = scheduler.Plan();
      if (slices.empty()) {
        PublishLoad(absl::Now());
        Sleep();
      } else {
        Step(slices);
      }
    }
    for (const auto& sequence : sequences) {
      sequence->Abort(absl::CancelledError("the engine was stopped"));
    }
  }

  // False if the engine is to stop; everything that came until then is in `sequences`.
  bool TakeArrivals() {
    MutexLock lock(&mutex);
    wake = false;
    for (auto& arrival : arrivals) {
      --arriving;
      arriving_tokens -= arrival->prompt_tokens();
      scheduler.Add(&arrival->schedule);
      sequences.push_back(std::move(arrival));
    }
    arrivals.clear();
    UpdateQueueFigures();
    return !stop;
  }

  void DropEnded() {
    const absl::Time now = absl::Now();
    std::erase_if(sequences, [&](const std::unique_ptr<Sequence>& sequence) {
      if (!sequence->Check(now, scheduler.PositionOf(&sequence->schedule))) return false;
      scheduler.Remove(&sequence->schedule);
      return true;
    });
  }

  void Sleep() {
    // Wakes for what may change by itself: a deadline, and a report of progress.
    absl::Time until = sequences.empty() ? absl::InfiniteFuture() : absl::Now() + absl::Seconds(1);
    for (const auto& sequence : sequences) until = std::min(until, sequence->expiry());
    MutexLock lock(&mutex);
    mutex.AwaitUntil([this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) { return wake || stop; }, until);
  }

  Sequence& SequenceOf(const Schedulable* schedulable) {
    return **std::find_if(sequences.begin(), sequences.end(),
                          [&](const auto& sequence) { return &sequence->schedule == schedulable; });
  }

  void Step(const std::vector<Slice>& slices) {
    const absl::Time begin = absl::Now();
    StepRecord record;
    batch.clear();
    for (const Slice& slice : slices) {
      Sequence& sequence = SequenceOf(slice.sequence);
      sequence.Started(begin);
      for (int64_t p = slice.begin; p < slice.begin + slice.count; ++p) {
        batch.push_back({.token = sequence.tokens()[static_cast<size_t>(p)],
                         .position = static_cast<uint32_t>(p),
                         .blocks = slice.sequence->blocks,
                         .wants_logits = p >= slice.sequence->next_logits});
      }
      const bool reply = slice.begin >= sequence.prompt_tokens();
      (reply ? record.decode_tokens : record.prefill_tokens) += slice.count;
    }
    transformer.Forward(batch, cache, logits);

    const absl::Time now = absl::Now();
    std::vector<Sequence*> over;
    size_t row = 0;
    for (const Slice& slice : slices) {
      Sequence& sequence = SequenceOf(slice.sequence);
      slice.sequence->computed += slice.count;
      const int64_t first = slice.sequence->next_logits;
      bool ended = false;
      for (int64_t p = std::max(slice.begin, first); p < slice.begin + slice.count; ++p, ++row) {
        const auto width = static_cast<size_t>(limits.vocab_size);
        if (!ended) {
          ended =
              sequence.TakeLogits(p, std::span(logits).subspan(row * width, width), sampler, now);
        }
      }
      record.max_gap = std::max(record.max_gap, sequence.TakeGap());
      if (ended) {
        scheduler.Remove(&sequence.schedule);
        over.push_back(&sequence);
      } else {
        sequence.Flush();
      }
    }
    std::erase_if(sequences, [&](const std::unique_ptr<Sequence>& sequence) {
      return std::find(over.begin(), over.end(), sequence.get()) != over.end();
    });
    record.end = absl::Now();
    record.duration = record.end - begin;
    steps.push_back(record);
    PublishLoad(record.end);
  }

  void UpdateQueueFigures() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    load.running = scheduler.running();
    load.waiting = scheduler.waiting();
    load.waiting_prefill_tokens = 0;
    for (const auto& sequence : sequences) {
      load.waiting_prefill_tokens +=
          std::max<int64_t>(0, sequence->prompt_tokens() - sequence->schedule.computed);
    }
    load.kv_cache_bytes_used = (cache.blocks() - scheduler.free_blocks()) * block_bytes;
  }

  void PublishLoad(absl::Time now) {
    while (!steps.empty() && steps.front().end < now - kLoadWindow) steps.pop_front();
    const auto rate = [](int64_t tokens, double seconds) {
      return seconds > 0 ? static_cast<double>(tokens) / seconds : 0;
    };
    StepRecord sum;
    double prefill_seconds = 0;
    double decode_seconds = 0;
    double best = 0;
    for (const StepRecord& step : steps) {
      best = std::max(best, rate(step.prefill_tokens, absl::ToDoubleSeconds(step.duration)));
      sum.prefill_tokens += step.prefill_tokens;
      sum.decode_tokens += step.decode_tokens;
      sum.max_gap = std::max(sum.max_gap, step.max_gap);
      if (step.prefill_tokens > 0) prefill_seconds += absl::ToDoubleSeconds(step.duration);
      if (step.decode_tokens > 0) decode_seconds += absl::ToDoubleSeconds(step.duration);
    }
    MutexLock lock(&mutex);
    UpdateQueueFigures();
    best_prefill_tokens_per_second = best;
    load.prefill_tokens_per_second = rate(sum.prefill_tokens, prefill_seconds);
    load.decode_tokens_per_second = rate(sum.decode_tokens, decode_seconds);
    load.max_decode_gap = sum.max_gap;
  }

  Transformer& transformer;
  KvCache& cache;
  const EngineOptions options;
  const ModelLimits limits;
  const int64_t block_bytes;

  // The engine's thread's own.
  Scheduler scheduler;
  Sampler sampler;
  std::vector<float> logits;  // [max_batch_logits, vocab_size]
  std::vector<BatchToken> batch;
  std::vector<std::unique_ptr<Sequence>> sequences;
  std::deque<StepRecord> steps;  // Of the last minute.

  mutable Mutex mutex;
  std::vector<std::unique_ptr<Sequence>> arrivals ABSL_GUARDED_BY(mutex);
  // Of the requests that are, or are about to be, in `arrivals`.
  int64_t arriving ABSL_GUARDED_BY(mutex) = 0;
  int64_t arriving_tokens ABSL_GUARDED_BY(mutex) = 0;
  double best_prefill_tokens_per_second ABSL_GUARDED_BY(mutex) = 0;  // Of the last minute's steps.
  EngineLoad load ABSL_GUARDED_BY(mutex);
  bool wake ABSL_GUARDED_BY(mutex) = false;
  bool stop ABSL_GUARDED_BY(mutex) = false;

  std::thread thread;
};

Engine::Engine(const ModelConfig& config, Transformer& transformer, KvCache& cache,
               const EngineOptions& options)
    : impl_(std::make_unique<Impl>(config, transformer, cache, options)) {}

Engine::~Engine() = default;

absl::Status Engine::Submit(GenerateRequest request, std::shared_ptr<EventSink> sink) {
  ASSIGN_OR_RETURN(const ReplyLimit limit, CheckRequest(request, impl_->limits));
  const auto prompt = static_cast<int64_t>(request.prompt.size());
  const uint64_t seed = request.sampling.seed.has_value() ? *request.sampling.seed : PickSeed();
  AcceptedEvent accepted = {.seed = {}, .prompt_tokens = prompt, .max_tokens = limit.max_tokens};
  if (request.sampling.temperature > 0) accepted.seed = seed;
  const absl::Time deadline = request.deadline;
  auto sequence = std::make_unique<Sequence>(std::move(request), limit, seed, sink);
  // The last token of the reply is not computed on.
  RETURN_IF_ERROR(impl_->Reserve({.prefill_tokens = prompt,
                                  .cache_tokens = prompt + limit.max_tokens - 1,
                                  .time_left = deadline - absl::Now()}));
  sink->Write(accepted);
  impl_->Enqueue(std::move(sequence));
  return absl::OkStatus();
}

absl::Status Engine::Submit(ScoreRequest request, std::shared_ptr<EventSink> sink) {
  RETURN_IF_ERROR(CheckRequest(request, impl_->limits));
  const auto count = static_cast<int64_t>(request.tokens.size());
  const absl::Time deadline = request.deadline;
  auto sequence = std::make_unique<Sequence>(std::move(request), std::move(sink));
  RETURN_IF_ERROR(impl_->Reserve(
      {.prefill_tokens = count, .cache_tokens = count, .time_left = deadline - absl::Now()}));
  impl_->Enqueue(std::move(sequence));
  return absl::OkStatus();
}

void Engine::Wake() {
  MutexLock lock(&impl_->mutex);
  impl_->wake = true;
}

EngineLoad Engine::load() const {
  MutexLock lock(&impl_->mutex);
  EngineLoad load = impl_->load;
  load.waiting += impl_->arriving;
  load.waiting_prefill_tokens += impl_->arriving_tokens;
  return load;
}

}  // namespace llama
