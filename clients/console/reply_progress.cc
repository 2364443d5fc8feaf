#include "clients/console/reply_progress.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "clients/console/annotate.h"
#include "common/proto_duration.h"

namespace llama {
namespace {

constexpr size_t kRateTokens = 32;  // The speed "now" is that of so many tokens.

}  // namespace

void ReplyProgress::PushDelta(const v1::Delta& delta, absl::Time now) {
  marker_.Push(delta, text_);
  phase_ = "decode";
  for (const v1::Token& token : delta.tokens()) {
    if (!first_token_.has_value()) first_token_ = now;
    arrivals_.push_back(now);
    if (arrivals_.size() > kRateTokens) arrivals_.pop_front();
    waiting_.push_back({token.spelling(), token.piece().size()});
  }
  reply_tokens_ += delta.tokens_size();
  if (delta.tokens_size() > 0) latest_ = delta.tokens(delta.tokens_size() - 1);
  // The tokens whose bytes wait are the last ones, as many as it takes to have them all.
  size_t first = waiting_.size();
  for (size_t bytes = 0; first > 0 && bytes < delta.held().size();)
    bytes += waiting_[--first].bytes;
  waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(first));
}

void ReplyProgress::Push(const v1::GenerateResponse& response, absl::Time now) {
  switch (response.event_case()) {
    case v1::GenerateResponse::kAccepted: {
      const v1::Accepted& accepted = response.accepted().accepted();
      prompt_tokens_ = accepted.prompt_tokens();
      max_tokens_ = accepted.prompt_tokens() + accepted.max_tokens();
      phase_ = "accepted";
      return;
    }
    case v1::GenerateResponse::kProgress: {
      const v1::Progress& progress = response.progress();
      if (progress.phase_case() == v1::Progress::kQueuePosition) {
        phase_ = absl::StrFormat("queued (position %d)", progress.queue_position());
      } else if (progress.phase_case() == v1::Progress::kPrefill) {
        phase_ = absl::StrFormat("prefill %d / %d tokens", progress.prefill().tokens_done(),
                                 progress.prefill().tokens_total());
      }
      return;
    }
    case v1::GenerateResponse::kDelta:
      return PushDelta(response.delta(), now);
    case v1::GenerateResponse::kFinished:
      finished_ = response.finished();
      waiting_.clear();
      return;
    default:
      return;
  }
}

PanelState ReplyProgress::Panel(absl::Time now, bool names) const {
  PanelState panel;
  panel.prompt_tokens = prompt_tokens_;
  panel.reply_tokens = reply_tokens_;
  panel.max_tokens = max_tokens_;
  panel.latest = latest_;
  panel.elapsed = now - start_;
  if (first_token_.has_value()) panel.first_token = *first_token_ - start_;
  if (arrivals_.size() > 1 && arrivals_.back() > arrivals_.front()) {
    panel.tokens_per_second = static_cast<double>(arrivals_.size() - 1) /
                              absl::ToDoubleSeconds(arrivals_.back() - arrivals_.front());
  }
  panel.phase = phase_;
  panel.reply = Annotate(text_, names);
  for (const WaitingToken& token : waiting_) panel.waiting.push_back(token.spelling);
  return panel;
}

std::string ReplyProgress::Statistics(absl::Time now) const {
  int64_t tokens = reply_tokens_;
  double first = first_token_.has_value() ? absl::ToDoubleSeconds(*first_token_ - start_) : 0;
  const double decode = first_token_.has_value() ? absl::ToDoubleSeconds(now - *first_token_) : 0;
  double rate = tokens > 1 && decode > 0 ? static_cast<double>(tokens - 1) / decode : 0;
  if (finished_.has_value() && finished_->has_usage()) {
    tokens = finished_->usage().completion_tokens();
  }
  if (finished_.has_value() && finished_->timings().has_time_to_first_token()) {
    first = absl::ToDoubleSeconds(FromProto(finished_->timings().time_to_first_token()));
    if (finished_->timings().decode_tokens_per_second() > 0) {
      rate = finished_->timings().decode_tokens_per_second();
    }
  }
  std::string text = absl::StrFormat("%d token%s", tokens, tokens == 1 ? "" : "s");
  if (tokens > 0) absl::StrAppendFormat(&text, ", first token after %.2f s", first);
  if (tokens > 1) absl::StrAppendFormat(&text, ", %.1f tokens/s", rate);
  return text;
}

std::string DescribeFinish(const v1::Finished& finished) {
  const char* what = "";
  switch (finished.reason()) {
    case v1::FINISH_REASON_EOS:
      what = "EOS token";
      break;
    case v1::FINISH_REASON_MAX_TOKENS:
      what = "sequence length";
      break;
    case v1::FINISH_REASON_CONTEXT_LENGTH:
      what = "context length";
      break;
    case v1::FINISH_REASON_STOP_SEQUENCE:
      what = "a stop sequence";
      break;
    case v1::FINISH_REASON_STOP_TOKEN:
      what = "a stop token";
      break;
    case v1::FINISH_REASON_TIME_LIMIT:
      what = "the time limit";
      break;
    default:
      return absl::StrCat("Finished for an unknown reason (", finished.reason(), ").");
  }
  return absl::StrCat("Finished by reaching ", what, ".");
}

}  // namespace llama
