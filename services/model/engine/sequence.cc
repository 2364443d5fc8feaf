#include "services/model/engine/sequence.h"

#include <algorithm>
#include <utility>

#include "common/status_details.h"
#include "services/model/engine/logprobs.h"

namespace llama {
namespace {

// More often than the second that is promised: people watch it move.
constexpr absl::Duration kProgressInterval = absl::Milliseconds(150);
// Of the messages with a stream's tokens. Readers see no difference, and a fast model would spend
// its time on messages of one token.
constexpr absl::Duration kFlushInterval = absl::Milliseconds(20);
// Positions of a prompt in one message: with 20 candidates each, and the texts that the gateway
// adds, far below the 4 MiB that a message may have.
constexpr size_t kMaxPromptEvent = 512;
// The same of a score, each with up to 84 candidates.
constexpr size_t kMaxScoreEvent = 256;

bool Contains(const std::vector<TokenId>& ids, TokenId id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

std::vector<TokenId> EndingTokens(const StoppingOptions& stopping) {
  std::vector<TokenId> ids = stopping.stop_token_ids;
  if (!stopping.ignore_eos) {
    ids.insert(ids.end(), stopping.eos_token_ids.begin(), stopping.eos_token_ids.end());
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

}  // namespace

Sequence::Sequence(GenerateRequest request, const ReplyLimit& limit, uint64_t seed,
                   std::shared_ptr<EventSink> sink)
    : request_(std::move(request)),
      sink_(std::move(sink)),
      limit_(limit),
      seed_(seed),
      ending_(EndingTokens(std::get<GenerateRequest>(request_).stopping)),
      tokens_(std::get<GenerateRequest>(request_).prompt),
      prompt_tokens_(static_cast<int64_t>(tokens_.size())) {
  const auto& generate = std::get<GenerateRequest>(request_);
  schedule.caller = generate.caller;
  schedule.cost = prompt_tokens_ + limit.max_tokens;
  schedule.cache_salt = generate.cache_salt;
  schedule.tokens = &tokens_;
  schedule.length = prompt_tokens_;
  schedule.next_logits = prompt_tokens_ - 1;
  if (!generate.prompt_tokens) return;
  if (generate.top_candidates.has_value()) {
    schedule.next_logits = 0;
    prompt_reports_.push_back({.id = tokens_[0]});
  } else {
    for (const TokenId id : tokens_) {
      prompt_reports_.push_back({.id = id});
    }
  }
}

Sequence::Sequence(ScoreRequest request, std::shared_ptr<EventSink> sink)
    : request_(std::move(request)),
      sink_(std::move(sink)),
      limit_(),
      seed_(0),
      tokens_(std::get<ScoreRequest>(request_).tokens),
      prompt_tokens_(static_cast<int64_t>(tokens_.size())) {
  schedule.caller = std::get<ScoreRequest>(request_).caller;
  schedule.cost = prompt_tokens_;
  schedule.tokens = &tokens_;
  schedule.length = prompt_tokens_;
  schedule.next_logits = std::get<ScoreRequest>(request_).from_position;
}

int64_t Sequence::prefill_tokens() const {
  const bool has_begun = schedule.running || schedule.preempted;
  return std::max<int64_t>(0, prompt_tokens_ - (has_begun ? schedule.computed : found_cached_));
}

absl::Time Sequence::expiry() const {
  if (is_score()) return std::get<ScoreRequest>(request_).deadline;
  const auto& generate = std::get<GenerateRequest>(request_);
  return std::min(generate.deadline, generate.received + generate.stopping.time_limit.value_or(
                                                             absl::InfiniteDuration()));
}

absl::Time Sequence::next_progress() const {
  const bool wanted = !is_score() && std::get<GenerateRequest>(request_).progress &&
                      first_token_ == absl::InfiniteFuture() && !schedule.paused;
  return wanted ? last_progress_ + kProgressInterval : absl::InfiniteFuture();
}

absl::Time Sequence::next_flush() const {
  return pending_.empty() || schedule.paused ? absl::InfiniteFuture()
                                             : last_flush_ + kFlushInterval;
}

absl::Time Sequence::next_event() const {
  return std::min({expiry(), next_progress(), next_flush()});
}

absl::Time Sequence::received() const {
  return std::visit([](const auto& request) { return request.received; }, request_);
}

Sequence::State Sequence::Check(absl::Time now) {
  schedule.paused = !sink_->writable();
  if (sink_->cancelled()) {
    Abort(absl::CancelledError("the call was cancelled"));
    return State::kCancelled;
  }
  if (now >= expiry()) {
    if (!is_score() && now < std::get<GenerateRequest>(request_).deadline) {
      Finish(FinishReason::kTimeLimit, std::nullopt, now);
      return State::kFinished;
    }
    Abort(absl::DeadlineExceededError("the call's deadline passed"));
    return State::kExpired;
  }
  Flush(now);
  return State::kGoesOn;
}

void Sequence::ReportProgress(absl::Time now, int64_t queue_position) {
  last_progress_ = now;
  if (schedule.running) {
    sink_->Write(PrefillEvent{schedule.computed, schedule.length});
  } else {
    sink_->Write(QueuedEvent{queue_position});
  }
}

bool Sequence::Started(absl::Time now) {
  if (started_ != absl::InfiniteFuture()) return false;
  started_ = now;
  return true;
}

bool Sequence::TakeLogits(int64_t position, std::span<const float> logits, Sampler& sampler,
                          absl::Time now) {
  if (!AllFinite(logits)) {
    Abort(MakeStatus(absl::StatusCode::kInternal, "NON_FINITE_LOGITS",
                     "the weights produced logits that are no finite numbers"));
    return true;
  }
  schedule.next_logits = position + 1;
  if (is_score()) {
    Score(position, logits);
    if (schedule.next_logits < schedule.length) return false;
    WriteScores();
    sink_->Finish(absl::OkStatus());
    return true;
  }
  if (schedule.next_logits <
      schedule.length) {  // Within the prompt: what it makes of the next token.
    prompt_reports_.push_back(ReportToken(logits, tokens_[static_cast<size_t>(position) + 1],
                                          *std::get<GenerateRequest>(request_).top_candidates));
    return false;
  }
  return Draw(logits, sampler, now);
}

void Sequence::Score(int64_t position, std::span<const float> logits) {
  const auto& request = std::get<ScoreRequest>(request_);
  PositionScore score = {.position = position, .log_sum_exp = LogSumExp(logits)};
  if (position + 1 < schedule.length) {
    score.next_logprob = logits[tokens_[static_cast<size_t>(position) + 1]] - score.log_sum_exp;
  }
  score.top = TopCandidates(logits, score.log_sum_exp, request.top_candidates);
  for (const TokenId id : request.candidates) {
    score.requested.push_back({id, logits[id] - score.log_sum_exp});
  }
  scores_.push_back(std::move(score));
  if (scores_.size() == kMaxScoreEvent) WriteScores();
}

bool Sequence::Draw(std::span<const float> logits, Sampler& sampler, absl::Time now) {
  const auto& request = std::get<GenerateRequest>(request_);
  const StoppingOptions& stopping = request.stopping;
  WritePrompt();

  const int64_t drawn = schedule.length - prompt_tokens_;
  // Where every token would end the reply, one must be drawn all the same.
  const bool may_end = drawn >= stopping.min_tokens || ending_.size() >= logits.size();
  const TokenId id = sampler.Draw(
      logits, request.sampling,
      {.tokens = tokens_,
       .forbidden = may_end ? std::span<const TokenId>() : std::span<const TokenId>(ending_),
       .seed = seed_});
  if (first_token_ == absl::InfiniteFuture()) {
    first_token_ = now;
    time_to_first_token_ = now - request.received;
  } else {
    last_gap_ = now - last_token_;
  }
  last_token_ = now;

  if (!stopping.ignore_eos && Contains(stopping.eos_token_ids, id)) {
    Finish(FinishReason::kEos, id, now);
    return true;
  }
  if (Contains(stopping.stop_token_ids, id)) {
    Finish(FinishReason::kStopToken, id, now);
    return true;
  }
  if (request.top_candidates.has_value()) {
    pending_.push_back(ReportToken(logits, id, *request.top_candidates));
  } else {
    pending_.push_back({.id = id});
  }
  tokens_.push_back(id);
  ++schedule.length;
  if (drawn + 1 < limit_.max_tokens) return false;
  Finish(limit_.reason, std::nullopt, now);
  return true;
}

void Sequence::WritePrompt() {
  const auto reports = std::exchange(prompt_reports_, {});
  for (size_t begin = 0; begin < reports.size(); begin += kMaxPromptEvent) {
    const auto first = reports.begin() + static_cast<ptrdiff_t>(begin);
    const auto count = std::min(kMaxPromptEvent, reports.size() - begin);
    sink_->Write(PromptEvent{{first, first + static_cast<ptrdiff_t>(count)}});
  }
}

void Sequence::Flush(absl::Time now) {
  WriteScores();
  if (now < next_flush()) return;
  last_flush_ = now;
  WritePending();
}

void Sequence::WriteScores() {
  if (!scores_.empty()) sink_->Write(ScoreEvent{std::exchange(scores_, {})});
}

void Sequence::WritePending() {
  if (!pending_.empty()) sink_->Write(TokensEvent{std::exchange(pending_, {})});
}

void Sequence::Abort(const absl::Status& status) { sink_->Finish(status); }

void Sequence::Finish(FinishReason reason, std::optional<TokenId> stop_token, absl::Time now) {
  WritePrompt();
  WritePending();
  sink_->Write(FinishedEvent{.reason = reason,
                             .stop_token = stop_token,
                             .prompt_tokens = prompt_tokens_,
                             .cached_prompt_tokens = schedule.cached,
                             .completion_tokens = reply_tokens(),
                             .timings = MeasureTimings(now)});
  sink_->Finish(absl::OkStatus());
}

Timings Sequence::MeasureTimings(absl::Time now) const {
  const absl::Time received = std::get<GenerateRequest>(request_).received;
  Timings timings;
  timings.total = now - received;
  timings.queue = std::min(started_, now) - received;
  if (started_ == absl::InfiniteFuture()) return timings;
  timings.prefill = std::min(first_token_, now) - started_;
  if (first_token_ == absl::InfiniteFuture()) return timings;
  timings.time_to_first_token = first_token_ - received;
  timings.decode = last_token_ - first_token_;
  const auto rate = [](int64_t tokens, absl::Duration time) {
    return time > absl::ZeroDuration() ? static_cast<double>(tokens) / absl::ToDoubleSeconds(time)
                                       : 0;
  };
  timings.prefill_tokens_per_second = rate(prompt_tokens_ - schedule.cached, timings.prefill);
  timings.decode_tokens_per_second = rate(std::max<int64_t>(reply_tokens() - 1, 0), timings.decode);
  return timings;
}

}  // namespace llama
