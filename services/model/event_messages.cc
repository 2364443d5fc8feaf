#include "services/model/event_messages.h"

#include <variant>
#include <vector>

#include "common/proto_duration.h"

namespace llama {

v1::ModelIdentity Identity(const ServedModel& model) {
  v1::ModelIdentity identity;
  identity.set_name(model.name());
  identity.set_digest(model.checkpoint().digest());
  identity.set_tokenizer_digest(model.tokenizer_digest());
  return identity;
}

namespace {

v1::FinishReason ToProto(FinishReason reason) {
  switch (reason) {
    case FinishReason::kEos:
      return v1::FINISH_REASON_EOS;
    case FinishReason::kStopToken:
      return v1::FINISH_REASON_STOP_TOKEN;
    case FinishReason::kMaxTokens:
      return v1::FINISH_REASON_MAX_TOKENS;
    case FinishReason::kContextLength:
      return v1::FINISH_REASON_CONTEXT_LENGTH;
    case FinishReason::kTimeLimit:
      return v1::FINISH_REASON_TIME_LIMIT;
  }
  return v1::FINISH_REASON_UNSPECIFIED;
}

void ToProto(const Candidate& candidate, v1::Candidate& out) {
  out.set_id(candidate.id);
  out.set_logprob(candidate.logprob);
}

void ToProto(const std::vector<TokenReport>& tokens,
             google::protobuf::RepeatedPtrField<v1::Token>& out) {
  for (const TokenReport& report : tokens) {
    v1::Token& token = *out.Add();
    token.set_id(report.id);
    if (report.logprob.has_value()) token.set_logprob(*report.logprob);
    if (report.rank.has_value()) token.set_rank(*report.rank);
    for (const Candidate& candidate : report.candidates)
      ToProto(candidate, *token.add_candidates());
  }
}

void ToProto(const PositionScore& score, v1::PositionScore& out) {
  out.set_position(score.position);
  if (score.next_logprob.has_value()) out.set_next_logprob(*score.next_logprob);
  out.set_log_sum_exp(score.log_sum_exp);
  for (const Candidate& candidate : score.top) ToProto(candidate, *out.add_top());
  for (const Candidate& candidate : score.requested) ToProto(candidate, *out.add_requested());
}

void ToProto(const Timings& timings, v1::Timings& out) {
  SetDuration(timings.queue, *out.mutable_queue());
  SetDuration(timings.prefill, *out.mutable_prefill());
  SetDuration(timings.time_to_first_token, *out.mutable_time_to_first_token());
  SetDuration(timings.decode, *out.mutable_decode());
  SetDuration(timings.total, *out.mutable_total());
  out.set_prefill_tokens_per_second(timings.prefill_tokens_per_second);
  out.set_decode_tokens_per_second(timings.decode_tokens_per_second);
}

// Writes an event to the response; `model` is for Accepted.
struct EventWriter {
  const ServedModel& model;
  v1::ModelServiceGenerateResponse& out;

  void operator()(const AcceptedEvent& event) const {
    v1::Accepted& accepted = *out.mutable_accepted();
    *accepted.mutable_model() = Identity(model);
    if (event.seed.has_value()) accepted.set_seed(*event.seed);
    accepted.set_prompt_tokens(event.prompt_tokens);
    accepted.set_max_tokens(event.max_tokens);
  }
  void operator()(const QueuedEvent& event) const {
    out.mutable_progress()->set_queue_position(event.queue_position);
  }
  void operator()(const PrefillEvent& event) const {
    v1::PrefillProgress& prefill = *out.mutable_progress()->mutable_prefill();
    prefill.set_tokens_done(event.tokens_done);
    prefill.set_tokens_total(event.tokens_total);
  }
  void operator()(const PromptEvent& event) const {
    ToProto(event.tokens, *out.mutable_prompt()->mutable_tokens());
  }
  void operator()(const TokensEvent& event) const {
    ToProto(event.tokens, *out.mutable_tokens()->mutable_tokens());
  }
  void operator()(const FinishedEvent& event) const {
    v1::ModelFinished& finished = *out.mutable_finished();
    finished.set_reason(ToProto(event.reason));
    if (event.stop_token.has_value()) finished.set_stop_token_id(*event.stop_token);
    finished.mutable_usage()->set_prompt_tokens(event.prompt_tokens);
    finished.mutable_usage()->set_cached_prompt_tokens(event.cached_prompt_tokens);
    finished.mutable_usage()->set_completion_tokens(event.completion_tokens);
    ToProto(event.timings, *finished.mutable_timings());
  }
  void operator()(const ScoreEvent&) const {}  // Score's only.
};

}  // namespace

void WriteEvent(const ServedModel& model, const Event& event,
                v1::ModelServiceGenerateResponse& out) {
  std::visit(EventWriter{model, out}, event);
}

void WriteEvent(const ServedModel&, const Event& event, v1::ScoreResponse& out) {
  const auto* const scores = std::get_if<ScoreEvent>(&event);
  if (scores == nullptr) return;
  for (const PositionScore& score : scores->positions) ToProto(score, *out.add_positions());
}

}  // namespace llama
