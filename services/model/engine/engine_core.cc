#include "services/model/engine/engine_core.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "common/random_bits.h"
#include "common/status_macros.h"

namespace llama {
namespace {

// Within a step, of what is due then.
constexpr absl::Duration kReportInterval = absl::Milliseconds(50);
// Of those that wait, so many are looked at one by one.
constexpr size_t kMaxWaitingAhead = 256;

ModelLimits Limits(const EngineCoreOptions& options) {
  ModelLimits limits = options.model;
  limits.cache_tokens = options.kv_blocks * kKvBlockTokens;
  return limits;
}

SchedulerOptions OptionsOfScheduler(const EngineCoreOptions& options) {
  return {.max_running = options.engine.max_running,
          .max_batch_tokens = options.max_batch_tokens,
          .max_batch_logits = options.max_batch_logits,
          .blocks = options.kv_blocks};
}

Waiting Find(const absl::flat_hash_map<std::string, Waiting>& map, const std::string& caller) {
  const auto found = map.find(caller);
  return found == map.end() ? Waiting() : found->second;
}

bool IsEmpty(const WorkAhead& ahead) {
  return ahead.running.empty() && ahead.arriving.empty() && ahead.waiting.empty();
}

Work WorkOf(const Sequence& sequence, double reply_share) {
  const auto probable =
      static_cast<int64_t>(reply_share * static_cast<double>(sequence.max_reply_tokens()));
  return {.prefill_tokens = sequence.prefill_tokens(),
          .reply_tokens = std::max<int64_t>(probable - sequence.reply_tokens(), 1)};
}

StepCosts CostsOf(const PrefillPacer& pacer, const LoadFigures& figures, int64_t prefill_most) {
  // Before any step of replies only, a guess: what some prompt tokens take.
  constexpr int64_t kPromptTokens = 16;
  StepCosts costs = {.decode_steps = pacer.decode_steps(),
                     .prefill_token = pacer.prefill_token(),
                     .prefill_alone = pacer.Budget(0),
                     .prefill_most = prefill_most};
  std::vector<DecodeStep>& steps = costs.decode_steps;
  if (steps.empty()) {
    const absl::Duration guess = kPromptTokens * costs.prefill_token;
    steps = {{1, guess > absl::ZeroDuration() ? guess : figures.mean_step}};
  }
  // Down to none, a reply costs about as much as a prompt token, but no more than its share.
  const DecodeStep least = steps.front();
  const absl::Duration reply = std::min(costs.prefill_token, least.time / least.replies);
  steps.insert(steps.begin(), {0, least.time - reply * least.replies});
  return costs;
}

}  // namespace

EngineCore::EngineCore(const EngineCoreOptions& options, ForwardPass forward, Clock clock,
                       WorkingThreads threads)
    : options_(options),
      limits_(Limits(options)),
      forward_(std::move(forward)),
      clock_(std::move(clock)),
      threads_(std::move(threads)),
      scheduler_(OptionsOfScheduler(options)),
      samplers_(threads_.count),
      pacer_(options.max_batch_tokens),
      logits_(static_cast<size_t>(options.max_batch_logits * options.model.vocab_size)),
      free_places_(options.engine.max_running) {
  load_.kv_cache_bytes_total = options_.kv_blocks * options_.kv_block_bytes;
}

EngineCore::~EngineCore() {
  TakeArrivals();
  for (const auto& sequence : sequences_) {
    sequence->Abort(absl::CancelledError("the engine was stopped"));
  }
}

absl::Status EngineCore::Submit(GenerateRequest request, std::shared_ptr<EventSink> sink) {
  ASSIGN_OR_RETURN(const ReplyLimit limit, CheckRequest(request, limits_));
  const auto prompt = static_cast<int64_t>(request.prompt.size());
  const uint64_t seed = request.sampling.seed.has_value() ? *request.sampling.seed : RandomBits();
  AcceptedEvent accepted = {.seed = {}, .prompt_tokens = prompt, .max_tokens = limit.max_tokens};
  if (request.sampling.temperature > 0) accepted.seed = seed;
  const absl::Time deadline = request.deadline;
  // The last token of the reply is not computed on.
  auto sequence = std::make_unique<Sequence>(std::move(request), limit, seed, sink);
  RETURN_IF_ERROR(Reserve(*sequence, prompt + limit.max_tokens - 1, deadline));
  sink->Write(accepted);
  Enqueue(std::move(sequence));
  return absl::OkStatus();
}

absl::Status EngineCore::Submit(ScoreRequest request, std::shared_ptr<EventSink> sink) {
  RETURN_IF_ERROR(CheckRequest(request, limits_));
  const auto count = static_cast<int64_t>(request.tokens.size());
  const absl::Time deadline = request.deadline;
  auto sequence = std::make_unique<Sequence>(std::move(request), std::move(sink));
  RETURN_IF_ERROR(Reserve(*sequence, count, deadline));
  Enqueue(std::move(sequence));
  return absl::OkStatus();
}

absl::Status EngineCore::Reserve(Sequence& sequence, int64_t cache_tokens, absl::Time deadline) {
  const Schedulable& schedule = sequence.schedule;
  sequence.FoundCached(scheduler_.pool().CountCached(
      schedule.cache_salt, sequence.tokens().first(static_cast<size_t>(schedule.next_logits))));
  const std::string& caller = schedule.caller;
  const AdmissionLimits limits = {
      .max_waiting = options_.engine.max_waiting,
      .max_waiting_prefill_tokens = options_.engine.max_waiting_prefill_tokens,
      .kv_blocks = options_.kv_blocks,
      .kv_block_bytes = options_.kv_block_bytes};
  const absl::Time now = clock_();
  const AdmissionRequest request = {.prefill_tokens = sequence.prefill_tokens(),
                                    .cache_tokens = cache_tokens,
                                    .time_left = deadline - now};
  Backlog backlog;
  Missing missing;
  WorkAhead ahead;
  {
    MutexLock lock(&mutex_);
    backlog = BacklogOf(caller);
    RETURN_IF_ERROR(CheckPossible(request, backlog, limits));
    missing = FindMissing(request, backlog, limits);
    if (missing.requests == 0 && missing.prefill_tokens == 0) {
      for (Waiting* const waiting : {&arriving_, &arriving_of_[caller]}) {
        ++waiting->requests;
        waiting->prefill_tokens += request.prefill_tokens;
      }
      return absl::OkStatus();
    }
    ahead = AheadWithArrivals(now);
  }
  const absl::Time seen = ahead.seen;
  const absl::Duration wait =
      ForecastWait(std::move(ahead), missing.requests, missing.prefill_tokens);
  return QueueFull(backlog, limits, missing, seen + wait - now);
}

WorkAhead EngineCore::AheadWithArrivals(absl::Time now) const {
  WorkAhead ahead = ahead_;
  // Nothing has been done since.
  if (IsEmpty(ahead)) ahead.seen = now;
  int64_t places = free_places_ - static_cast<int64_t>(ahead.arriving.size());
  for (const auto& arrival : arrivals_) {
    if (places <= 0 && ahead.waiting.size() >= kMaxWaitingAhead) break;
    (places-- > 0 ? ahead.arriving : ahead.waiting).push_back(WorkOf(*arrival, reply_share_));
  }
  return ahead;
}

Backlog EngineCore::BacklogOf(const std::string& caller) const {
  const auto sum = [places = free_places_](const Waiting& waiting, const Waiting& arriving) {
    return Waiting{.requests = std::max<int64_t>(0, waiting.requests + arriving.requests - places),
                   .prefill_tokens = waiting.prefill_tokens + arriving.prefill_tokens};
  };
  return {.all = sum(waiting_, arriving_),
          .callers = sum(Find(waiting_of_, caller), Find(arriving_of_, caller)),
          .best_prefill_tokens_per_second = best_prefill_tokens_per_second_};
}

void EngineCore::Enqueue(std::unique_ptr<Sequence> arrival) {
  MutexLock lock(&mutex_);
  arrivals_.push_back(std::move(arrival));
  wake_ = true;
}

void EngineCore::Wake() {
  MutexLock lock(&mutex_);
  wake_ = true;
}

EngineLoad EngineCore::load() const {
  const absl::Time now = clock_();
  EngineLoad load;
  WorkAhead ahead;
  std::vector<Work> typical;
  {
    MutexLock lock(&mutex_);
    load = load_;
    load.waiting += arriving_.requests;
    load.waiting_prefill_tokens += arriving_.prefill_tokens;
    ahead = AheadWithArrivals(now);
    typical.assign(ended_.begin(), ended_.end());
  }
  const std::vector<DecodeStep>& steps = ahead.costs.decode_steps;
  const bool speed_is_known = !steps.empty() && steps.back().time > absl::ZeroDuration();
  if (!speed_is_known || (typical.empty() && IsEmpty(ahead))) return load;
  const absl::Time seen = ahead.seen;
  const absl::Duration wait =
      ForecastWaitWhenFull(std::move(ahead), typical, options_.engine.max_running);
  load.wait_when_full = std::max(seen + wait - now, absl::ZeroDuration());
  return load;
}

bool EngineCore::AwaitWork() {
  const absl::Time until = next_event();
  MutexLock lock(&mutex_);
  mutex_.AwaitUntil([this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return wake_ || stop_; },
                    until);
  return !stop_;
}

void EngineCore::Stop() {
  MutexLock lock(&mutex_);
  stop_ = true;
}

bool EngineCore::stopped() const {
  MutexLock lock(&mutex_);
  return stop_;
}

absl::Time EngineCore::next_event() const {
  absl::Time next = absl::InfiniteFuture();
  for (const auto& sequence : sequences_) next = std::min(next, sequence->next_event());
  return next;
}

std::vector<std::span<const KvBlock>> EngineCore::owned_blocks() const {
  std::vector<std::span<const KvBlock>> blocks;
  for (const auto& sequence : sequences_) blocks.push_back(sequence->schedule.blocks);
  return blocks;
}

bool EngineCore::Step() {
  TakeArrivals();
  const absl::Time now = clock_();
  DropEnded(now);
  ReportProgress(now);
  next_report_ = now + kReportInterval;
  const int64_t decodes = scheduler_.decodes();
  const std::vector<Slice> slices =
      scheduler_.Plan({.beside_decodes = pacer_.Budget(decodes), .alone = pacer_.Budget(0)});
  // Before the step too: it takes long, and who is refused meanwhile may be let in now.
  Publish(clock_(), 0);
  if (!slices.empty()) {
    const int64_t ended = Compute(slices);
    Publish(clock_(), ended);
  }
  return !slices.empty();
}

void EngineCore::TakeArrivals() {
  const absl::Time now = clock_();
  MutexLock lock(&mutex_);
  wake_ = false;
  if (!arrivals_.empty()) ahead_ = AheadWithArrivals(now);
  for (std::unique_ptr<Sequence>& arrival : arrivals_) {
    const int64_t prefill_tokens = arrival->prefill_tokens();
    --arriving_.requests;
    arriving_.prefill_tokens -= prefill_tokens;
    const auto of_caller = arriving_of_.find(arrival->schedule.caller);
    of_caller->second.prefill_tokens -= prefill_tokens;
    if (--of_caller->second.requests == 0) arriving_of_.erase(of_caller);
    scheduler_.Add(&arrival->schedule);
    sequences_.push_back(std::move(arrival));
  }
  arrivals_.clear();
  // The free ones are still free, for some of those that wait now.
  const int64_t free_places = free_places_;
  UpdateQueueFigures();
  free_places_ = free_places;
}

void EngineCore::ReportProgress(absl::Time now) {
  for (const auto& sequence : sequences_) {
    if (!sequence->WantsProgress(now)) continue;
    sequence->ReportProgress(now, scheduler_.PositionOf(&sequence->schedule));
  }
}

void EngineCore::ReportWithinStep() {
  const absl::Time now = clock_();
  if (now < next_report_) return;
  next_report_ = now + kReportInterval;
  ReportProgress(now);
  // Those that have come since the step began stay where they are: by the figures that admission
  // goes by, they have not yet been seen. No lock is held while sinks are written to; only this
  // thread takes sequences away.
  std::vector<Sequence*> arrived;
  {
    MutexLock lock(&mutex_);
    for (const auto& arrival : arrivals_) arrived.push_back(arrival.get());
  }
  int64_t ahead = scheduler_.waiting();
  for (Sequence* const sequence : arrived) {
    if (sequence->WantsProgress(now)) sequence->ReportProgress(now, ahead);
    ++ahead;
  }
}

void EngineCore::DropEnded(absl::Time now) {
  std::erase_if(sequences_, [&](const std::unique_ptr<Sequence>& sequence) {
    Schedulable& schedule = sequence->schedule;
    if (const Sequence::State state = sequence->Check(now); state != Sequence::State::kGoesOn) {
      if (state == Sequence::State::kCancelled) ++totals_.cancelled;
      if (state == Sequence::State::kExpired) ++totals_.expired;
      if (sequence->reply_tokens() > 0) RememberEnded(*sequence, now);
      scheduler_.Remove(&schedule);
      return true;
    }
    return false;
  });
}

Sequence& EngineCore::SequenceOf(const Schedulable* schedulable) {
  return **std::find_if(sequences_.begin(), sequences_.end(),
                        [&](const auto& sequence) { return &sequence->schedule == schedulable; });
}

int64_t EngineCore::Compute(const std::vector<Slice>& slices) {
  const absl::Time begin = clock_();
  StepRecord record;
  record.sequences = static_cast<int64_t>(slices.size());
  StepWaits waits;
  std::vector<Delivery> deliveries;
  batch_.clear();
  int64_t decodes = 0;
  size_t row = 0;
  for (const Slice& slice : slices) {
    Sequence& sequence = SequenceOf(slice.sequence);
    const int64_t end = slice.begin + slice.count;
    const int64_t first = std::clamp(slice.sequence->next_logits, slice.begin, end);
    deliveries.push_back({.sequence = &sequence,
                          .begin = first,
                          .end = end,
                          .row = row,
                          .drawn = sequence.reply_tokens()});
    row += static_cast<size_t>(end - first);
    if (sequence.Started(begin)) {
      waits.queue.push_back(begin - sequence.received());
      record.prompt_tokens += sequence.prompt_tokens();
    }
    record.cached_tokens += sequence.TakeCachedTokens();
    for (int64_t p = slice.begin; p < end; ++p) {
      batch_.push_back({.token = sequence.tokens()[static_cast<size_t>(p)],
                        .position = static_cast<uint32_t>(p),
                        .blocks = slice.sequence->blocks,
                        .wants_logits = p >= first});
    }
    if (end == slice.sequence->length && slice.count == 1) ++decodes;
    const bool reply = slice.begin >= sequence.prompt_tokens();
    (reply ? record.decode_tokens : record.prefill_tokens) += slice.count;
  }
  forward_(batch_, logits_);
  for (const Slice& slice : slices) scheduler_.Advance(slice);

  const absl::Time now = clock_();
  const int64_t prefill_tokens = static_cast<int64_t>(batch_.size()) - decodes;
  record.full_prefill = decodes == 0 && record.prefill_tokens >= pacer_.Budget(0);
  pacer_.Record(now - begin, decodes, prefill_tokens);
  Deliver(deliveries, now);
  int64_t ended = 0;
  for (const Delivery& delivery : deliveries) {
    Sequence& sequence = *delivery.sequence;
    totals_.reply_tokens += sequence.reply_tokens() - delivery.drawn;
    if (const auto time = sequence.TakeTimeToFirstToken()) waits.first_tokens.push_back(*time);
    if (const auto gap = sequence.TakeGap()) {
      waits.gaps.push_back(*gap);
      record.max_gap = std::max(record.max_gap, *gap);
    }
    if (!delivery.over) continue;
    ++ended;
    RememberEnded(sequence, now);
    scheduler_.Remove(&sequence.schedule);
    std::erase_if(sequences_, [&](const auto& other) { return other.get() == &sequence; });
  }
  record.duration = now - begin;
  meter_.Record(now, record);
  totals_.prompt_tokens += record.prompt_tokens;
  totals_.cached_prompt_tokens += record.cached_tokens;
  totals_.prefill_tokens += record.prefill_tokens;
  totals_.decode_tokens += record.decode_tokens;
  if (options_.engine.on_step) options_.engine.on_step(record, waits);
  return ended;
}

void EngineCore::RememberEnded(const Sequence& sequence, absl::Time now) {
  meter_.RecordReply(now, sequence.reply_tokens(), sequence.max_reply_tokens());
  MutexLock lock(&mutex_);
  ended_.push_back({.prefill_tokens = sequence.prompt_tokens() - sequence.schedule.cached,
                    .reply_tokens = std::max<int64_t>(sequence.reply_tokens(), 1)});
  if (std::ssize(ended_) > options_.engine.max_running) ended_.pop_front();
}

void EngineCore::Deliver(std::span<Delivery> deliveries, absl::Time now) {
  std::atomic<size_t> next = 0;
  const auto work = [&](size_t thread) {
    for (size_t i = next++; i < deliveries.size(); i = next++) {
      Deliver(deliveries[i], samplers_[thread], now);
    }
  };
  deliveries.size() > 1 ? threads_.run(work) : work(0);
}

void EngineCore::Deliver(Delivery& delivery, Sampler& sampler, absl::Time now) {
  const auto width = static_cast<size_t>(limits_.vocab_size);
  size_t row = delivery.row;
  for (int64_t p = delivery.begin; p < delivery.end && !delivery.over; ++p, ++row) {
    delivery.over = delivery.sequence->TakeLogits(p, std::span(logits_).subspan(row * width, width),
                                                  sampler, now);
  }
  if (!delivery.over) delivery.sequence->Flush(now);
}

void EngineCore::UpdateQueueFigures() {
  load_.running = scheduler_.running();
  load_.waiting = scheduler_.waiting();
  load_.waiting_prefill_tokens = 0;
  waiting_ = {};
  waiting_of_.clear();
  int64_t active = 0;
  int64_t stalled = 0;
  for (const auto& sequence : sequences_) {
    const Schedulable& schedule = sequence->schedule;
    const int64_t prefill_tokens = sequence->prefill_tokens();
    load_.waiting_prefill_tokens += prefill_tokens;
    if (schedule.paused) {
      if (!schedule.running) ++stalled;
      continue;
    }
    Waiting& of_caller = waiting_of_[schedule.caller];
    for (Waiting* const waiting : {&waiting_, &of_caller}) {
      if (!schedule.running) ++waiting->requests;
      waiting->prefill_tokens += prefill_tokens;
    }
    if (schedule.running) ++active;
  }
  // Who waits for a reader waits for no place, and who runs gives its own to the next, so that
  // readers that stand still keep nobody out: up to a number, for each of them has a buffer.
  waiting_.requests += std::max<int64_t>(0, stalled - options_.engine.max_waiting);
  free_places_ = waiting_.requests > 0 ? 0 : options_.engine.max_running - active;
  const BlockPool& pool = scheduler_.pool();
  load_.kv_cache_bytes_used = (options_.kv_blocks - pool.available()) * options_.kv_block_bytes;
  load_.kv_cache_bytes_cached = pool.cached() * options_.kv_block_bytes;
  load_.totals = totals_;
  load_.totals.preemptions = scheduler_.preemptions();
}

WorkAhead EngineCore::LookAhead(absl::Time now, const LoadFigures& figures, int64_t ended) const {
  WorkAhead ahead = {
      .seen = now,
      .running = {},
      .arriving = {},
      .waiting = {},
      .beginning = 0,
      .costs = CostsOf(pacer_, figures, options_.max_batch_tokens),
  };
  std::vector<const Sequence*> running;
  std::vector<const Sequence*> waiting;
  for (const auto& sequence : sequences_) {
    if (sequence->schedule.paused) continue;
    (sequence->schedule.running ? running : waiting).push_back(sequence.get());
  }
  std::sort(running.begin(), running.end(), [](const Sequence* a, const Sequence* b) {
    return a->schedule.turn < b->schedule.turn;
  });
  std::sort(waiting.begin(), waiting.end(), [](const Sequence* a, const Sequence* b) {
    return Scheduler::HasTurnBefore(&a->schedule, &b->schedule);
  });
  waiting.resize(std::min(waiting.size(), kMaxWaitingAhead));
  for (const Sequence* const sequence : running) {
    ahead.running.push_back(WorkOf(*sequence, figures.reply_share));
  }
  for (const Sequence* const sequence : waiting) {
    ahead.waiting.push_back(WorkOf(*sequence, figures.reply_share));
  }
  ahead.beginning = std::min(ended, static_cast<int64_t>(ahead.waiting.size()));
  return ahead;
}

void EngineCore::Publish(absl::Time now, int64_t ended) {
  const LoadFigures figures = meter_.figures(now);
  WorkAhead ahead = LookAhead(now, figures, ended);
  MutexLock lock(&mutex_);
  UpdateQueueFigures();
  ahead_ = std::move(ahead);
  reply_share_ = figures.reply_share;
  if (figures.best_prefill_tokens_per_second > 0) {
    best_prefill_tokens_per_second_ = figures.best_prefill_tokens_per_second;
  }
  load_.prefill_tokens_per_second = figures.prefill_tokens_per_second;
  load_.decode_tokens_per_second = figures.decode_tokens_per_second;
  load_.prefix_cache_hit_rate = figures.prefix_cache_hit_rate;
  load_.max_decode_gap = figures.max_gap;
}

}  // namespace llama
