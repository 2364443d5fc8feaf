#ifndef LLAMA_SERVICES_MODEL_ENGINE_SEQUENCE_H_
#define LLAMA_SERVICES_MODEL_ENGINE_SEQUENCE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "services/model/engine/request.h"
#include "services/model/engine/request_validation.h"
#include "services/model/engine/sampler.h"
#include "services/model/engine/scheduler.h"

namespace llama {

// A request on its way through the engine: its tokens, what it still wants to know of the logits,
// and how it ends. Writes its events to its sink. Used by the engine's thread.
class Sequence {
 public:
  // The requests must have been checked. `seed` is the one in use.
  Sequence(GenerateRequest request, const ReplyLimit& limit, uint64_t seed,
           std::shared_ptr<EventSink> sink);
  Sequence(ScoreRequest request, std::shared_ptr<EventSink> sink);
  Sequence(const Sequence&) = delete;
  Sequence& operator=(const Sequence&) = delete;

  Schedulable schedule;

  std::span<const TokenId> tokens() const { return tokens_; }
  int64_t prompt_tokens() const { return prompt_tokens_; }
  // Tokens of the prompt that were found in the prefix cache since the last call.
  int64_t TakeCachedTokens() {
    return schedule.cached - std::exchange(taken_cached_tokens_, schedule.cached);
  }
  // When it came, the prefix cache had so many tokens of its prompt.
  void FoundCached(int64_t tokens) { found_cached_ = tokens; }
  // Tokens of the prompt that are still to be computed; before it begins, as far as is known.
  int64_t prefill_tokens() const;
  // Drawn so far, and the most that there will be; 0 for a score.
  int64_t reply_tokens() const { return schedule.length - prompt_tokens_; }
  int64_t max_reply_tokens() const { return limit_.max_tokens; }
  absl::Time received() const;

  // Looks at the sink and the clock, and writes what is due.
  enum class State { kGoesOn, kFinished, kCancelled, kExpired };  // All but the first: it is over.
  State Check(absl::Time now);
  // Whether ReportProgress() is due.
  bool WantsProgress(absl::Time now) const { return now >= next_progress(); }
  void ReportProgress(absl::Time now, int64_t queue_position);
  // When Check() or ReportProgress() will next have something to do, if nothing else happens.
  absl::Time next_event() const;
  // The batch has begun to hold it. True the first time.
  bool Started(absl::Time now);
  // Takes the logits after tokens()[position], which must be schedule.next_logits: reports, scores
  // or draws. True if the sequence is over.
  bool TakeLogits(int64_t position, std::span<const float> logits, Sampler& sampler,
                  absl::Time now);
  // Writes what was scored, and what was drawn, unless it did so a moment ago: then what it holds
  // back goes with the next. After each batch; not needed for a sequence that is over.
  void Flush(absl::Time now);
  // Ends it from outside.
  void Abort(const absl::Status& status);

  // The time from receipt to the first token, or between the last two, each once; unset if none was
  // drawn since.
  std::optional<absl::Duration> TakeTimeToFirstToken() {
    return std::exchange(time_to_first_token_, std::nullopt);
  }
  std::optional<absl::Duration> TakeGap() { return std::exchange(last_gap_, std::nullopt); }

 private:
  bool is_score() const { return std::holds_alternative<ScoreRequest>(request_); }
  void Score(int64_t position, std::span<const float> logits);
  bool Draw(std::span<const float> logits, Sampler& sampler, absl::Time now);
  absl::Time expiry() const;
  absl::Time next_progress() const;
  absl::Time next_flush() const;
  void WritePrompt();
  void WritePending();
  void WriteScores();
  void Finish(FinishReason reason, std::optional<TokenId> stop_token, absl::Time now);
  Timings MeasureTimings(absl::Time now) const;

  const std::variant<GenerateRequest, ScoreRequest> request_;
  const std::shared_ptr<EventSink> sink_;
  const ReplyLimit limit_;
  const uint64_t seed_;
  const std::vector<TokenId> ending_;  // Tokens that end the reply, in order, each once.
  std::vector<TokenId> tokens_;
  const int64_t prompt_tokens_;

  std::vector<TokenReport> prompt_reports_;
  std::vector<TokenReport> pending_;   // Drawn, not yet written.
  std::vector<PositionScore> scores_;  // Likewise.
  absl::Time started_ = absl::InfiniteFuture();
  absl::Time first_token_ = absl::InfiniteFuture();
  absl::Time last_token_ = absl::InfiniteFuture();
  absl::Time last_progress_ = absl::InfinitePast();
  absl::Time last_flush_ = absl::InfinitePast();
  int64_t found_cached_ = 0;
  int64_t taken_cached_tokens_ = 0;
  std::optional<absl::Duration> time_to_first_token_;
  std::optional<absl::Duration> last_gap_;
};

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_ENGINE_SEQUENCE_H_
