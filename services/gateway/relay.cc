#include "services/gateway/relay.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "common/proto_duration.h"
#include "common/rpc/call_context.h"
#include "services/gateway/backend_status.h"
#include "services/gateway/prefix_key.h"

namespace llama {
namespace {

// What is left of a time limit, which is valid, after `elapsed`: at least a moment.
void Shorten(absl::Duration elapsed, google::protobuf::Duration& limit) {
  SetDuration(std::max(FromProto(limit) - elapsed, absl::Nanoseconds(1)), limit);
}

// 0 stays: there is no such time.
void Lengthen(absl::Duration by, google::protobuf::Duration& time) {
  const absl::Duration known = FromProto(time);
  if (known > absl::ZeroDuration()) SetDuration(known + by, time);
}

bool WantsTokens(const v1::OutputOptions& output) {
  return output.tokens() || output.has_top_candidates();
}

std::vector<std::string> StopSequences(const v1::GenerateRequest& request) {
  const auto& stops = request.stopping().stop_sequences();
  return {stops.begin(), stops.end()};
}

}  // namespace

Relay::Relay(Pools pools, CallAdmission::Place& place, const v1::GenerateRequest& request,
             std::shared_ptr<const Backends> backends,
             std::chrono::system_clock::time_point deadline, const std::string& caller,
             std::shared_ptr<CallNotes> notes)
    : pools_(pools),
      place_(place),
      request_(request),
      backends_(std::move(backends)),
      deadline_(deadline),
      notes_(std::move(notes)),
      matcher_(StopSequences(request), request.stopping().min_tokens()) {
  for (grpc::ClientContext* const context : Contexts()) ForwardCall(caller, *notes_, *context);
}

std::array<grpc::ClientContext*, 4> Relay::Contexts() {
  return {&encode_context_, &models_[0].context, &models_[1].context, &decode_context_};
}

void Relay::Start(std::shared_ptr<Stream> client) {
  client_ = std::move(client);
  place_.AskForTurn([self = shared_from_this()](const absl::Status& status) {
    status.ok() ? self->Encode() : self->End(status);
  });
}

void Relay::Encode() {
  tokenizer_stub_ = pools_.tokenizers.Take();
  for (grpc::ClientContext* const context : Contexts()) context->set_deadline(deadline_);
  *encode_request_.mutable_prompt() = request_.prompt();
  tokenizer_stub_->async()->Encode(
      &encode_context_, &encode_request_, &encoded_,
      [self = shared_from_this()](const grpc::Status& status) { self->OnEncoded(status); });
}

void Relay::OnClientChange() {
  if (client_->cancelled() && !cancelled_.exchange(true)) {
    for (grpc::ClientContext* const context : Contexts()) context->TryCancel();
    if (place_.Withdraw()) End(absl::CancelledError("the call was cancelled"));
  }
  ResumeIfParked();
}

void Relay::OnEncoded(const grpc::Status& status) {
  if (!status.ok()) return End(BackendFailed("tokenizer", status));
  model_request_.mutable_prompt_token_ids()->Swap(encoded_.mutable_ids());
  prompt_tokens_ = model_request_.prompt_token_ids_size();
  notes_->SetPromptTokens(prompt_tokens_);
  *model_request_.mutable_sampling() = request_.sampling();
  *model_request_.mutable_stopping() = request_.stopping();
  model_request_.mutable_stopping()->clear_stop_sequences();
  if (request_.stopping().has_time_limit()) {
    // It runs from the receipt of the call.
    Shorten(absl::Now() - received_, *model_request_.mutable_stopping()->mutable_time_limit());
  }
  *model_request_.mutable_eos_token_ids() = encoded_.eos_token_ids();
  *model_request_.mutable_output() = request_.output();
  model_request_.set_cache_salt(request_.cache_salt());
  std::unique_ptr<ModelReplicas::Lease> replica = pools_.models.Take(PrefixKey(request_));
  if (replica == nullptr) return End(NoModel());
  StartModel(std::move(replica));
}

// Operations of the two streams are started from each other's reactions: the holds keep gRPC from
// ending the calls meanwhile. End() lets go of them.
void Relay::StartModel(std::unique_ptr<ModelReplicas::Lease> replica) {
  ModelCall& call = model();
  call.relay = shared_from_this();
  call.replica = std::move(replica);
  model_started_ = absl::Now();
  call.replica->stub().async()->Generate(&call.context, &model_request_, &call);
  call.AddHold();
  call.StartRead(&from_model_);
  call.StartCall();
}

// With the first token: until then a call that waits at the model has no need of it.
void Relay::StartDecoder() {
  if (decoding_) return;
  decoding_ = true;
  decode_.relay = shared_from_this();
  tokenizer_stub_->async()->DecodeStream(&decode_context_, &decode_);
  decode_.AddHold();
  decode_.StartCall();
}

// Reads the next message of the model, once the client keeps up.
void Relay::ReadModel() {
  parked_ = true;
  if (client_->writable() || client_->cancelled()) ResumeIfParked();
}

void Relay::ResumeIfParked() {
  if (parked_.exchange(false)) model().StartRead(&from_model_);
}

void Relay::OnModelRead(bool ok) {
  if (!ok) {
    // The end of the stream; OnModelDone() will tell which.
    model().RemoveHold();
    return;
  }
  if (!taken_) {
    // The first message: the model takes the request.
    taken_ = true;
    place_.Answer(absl::OkStatus());
  }
  switch (from_model_.event_case()) {
    case v1::ModelServiceGenerateResponse::kAccepted: {
      v1::GenerateResponse response;
      v1::GenerationAccepted& accepted = *response.mutable_accepted();
      accepted.set_request_id(request_.request_id());
      *accepted.mutable_accepted() = from_model_.accepted();
      accepted.mutable_accepted()->mutable_model()->set_tokenizer_digest(
          backends_->tokenizer.digest());
      accepted.set_rendered_prompt(encoded_.rendered_prompt());
      Write(std::move(response));
      return ReadModel();
    }
    case v1::ModelServiceGenerateResponse::kProgress: {
      v1::GenerateResponse response;
      *response.mutable_progress() = from_model_.progress();
      Write(std::move(response));
      return ReadModel();
    }
    case v1::ModelServiceGenerateResponse::kPrompt: {
      v1::GenerateResponse response;
      *response.mutable_prompt() = from_model_.prompt();
      for (v1::Token& token : *response.mutable_prompt()->mutable_tokens()) FillToken(token);
      Write(std::move(response));
      return ReadModel();
    }
    case v1::ModelServiceGenerateResponse::kTokens:
      for (v1::Token& token : *from_model_.mutable_tokens()->mutable_tokens()) {
        undecoded_.push_back(std::move(token));
      }
      StartDecoder();
      return DecodeNext();
    case v1::ModelServiceGenerateResponse::kFinished:
      finished_ = from_model_.finished();
      notes_->SetCachedPromptTokens(finished_->usage().cached_prompt_tokens());
      notes_->SetQueueTime(FromProto(finished_->timings().queue()));
      half_closed_ = true;
      StartDecoder();
      return decode_.StartWritesDone();
    case v1::ModelServiceGenerateResponse::EVENT_NOT_SET:
      return ReadModel();  // Of a newer version of the interface.
  }
}

// The model's stream ended. If the relay has not, that is why it ends.
void Relay::OnModelDone(const grpc::Status& status) {
  if (ended_) return;
  if (!cancelled_) model().replica->Failed(status);
  if (TryAnotherReplica(status)) return;
  End(sequence_ == 0 ? BackendFailed("model", status) : BackendLost("model", status, tokens_));
}

// Whether the call goes on with another replica, after one that could not take it: nothing of a
// reply has come, so none is given twice.
bool Relay::TryAnotherReplica(const grpc::Status& status) {
  if (!IsAway(status) || taken_ || cancelled_ || attempt_ + 1 == models_.size()) return false;
  auto other = pools_.models.TakeOther(PrefixKey(request_), *model().replica);
  if (other == nullptr) return false;
  model().replica = nullptr;
  ++attempt_;
  StartModel(std::move(other));
  return true;
}

// Sends the next token to the decoder: one at a time if it matters which text is whose.
void Relay::DecodeNext() {
  if (undecoded_.empty()) return ReadModel();
  const size_t count = request_.stopping().stop_sequences_size() > 0 ? 1 : undecoded_.size();
  to_decode_.Clear();
  to_decode_.set_keep_leading_space(!request_.prompt().has_chat());
  for (size_t i = 0; i < count; ++i) {
    to_decode_.add_ids(undecoded_.front().id());
    unreported_.push_back(std::move(undecoded_.front()));
    undecoded_.pop_front();
  }
  decode_.StartWrite(&to_decode_);
}

void Relay::OnDecodeWritten(bool ok) {
  // Where the write failed the read will, too, and it is the one that reports.
  (void)ok;
  decode_.StartRead(&decoded_);
}

void Relay::OnDecoded(bool ok) {
  if (!ok) {
    decode_.RemoveHold();  // OnDecodeDone() tells why.
    return;
  }
  if (half_closed_) return DeliverEnd();
  tokens_ += to_decode_.ids_size();
  notes_->AddCompletionTokens(to_decode_.ids_size());
  last_token_ = absl::Now();
  first_token_ = std::min(first_token_, last_token_);
  for (size_t i = unreported_.size() - static_cast<size_t>(to_decode_.ids_size());
       i < unreported_.size(); ++i) {
    FillToken(unreported_[i]);
  }
  StopMatcher::Output output = {.text = decoded_.text(), .tokens = unreported_.size(), .stop = {}};
  if (request_.stopping().stop_sequences_size() > 0) {
    output = matcher_.Push(decoded_.text(), !decoded_.held().empty());
  }
  const std::optional<std::string> stop = output.stop;
  Deliver(std::move(output), decoded_.held());
  if (stop.has_value()) return FinishAtStop(*stop);
  DecodeNext();
}

void Relay::OnDecodeDone(const grpc::Status& status) {
  if (ended_) return;
  End(sequence_ == 0 ? BackendFailed("tokenizer", status)
                     : BackendLost("tokenizer", status, tokens_));
}

void Relay::Deliver(StopMatcher::Output output, const std::string& held) {
  const bool with_tokens = WantsTokens(request_.output());
  delta_.mutable_text()->append(output.text);
  for (size_t i = 0; i < output.tokens; ++i) {
    if (with_tokens) *delta_.add_tokens() = std::move(unreported_.front());
    unreported_.pop_front();
  }
  if (with_tokens) delta_.set_held(held);
  // What the model sent in one message goes on in one.
  if (undecoded_.empty()) WriteDelta();
}

void Relay::WriteDelta() {
  if (delta_.text().empty() && delta_.tokens_size() == 0) return;
  v1::GenerateResponse response;
  response.mutable_delta()->Swap(&delta_);
  delta_.Clear();
  Write(std::move(response));
}

// The reply is over: what the decoder and the matcher still held, then Finished.
void Relay::DeliverEnd() {
  if (request_.stopping().stop_sequences_size() > 0) {
    StopMatcher::Output output = matcher_.PushEnd(decoded_.text());
    const std::optional<std::string> stop = output.stop;
    if (!stop.has_value()) {
      StopMatcher::Output rest = matcher_.Flush();
      output.text += rest.text;
      output.tokens += rest.tokens;
    }
    Deliver(std::move(output), "");
    if (stop.has_value()) return FinishAtStop(*stop);
  } else {
    Deliver({.text = decoded_.text(), .tokens = 0, .stop = {}}, "");
  }
  v1::GenerateResponse response;
  v1::Finished& finished = *response.mutable_finished();
  finished.set_reason(finished_->reason());
  if (finished_->has_stop_token_id()) finished.set_stop_token_id(finished_->stop_token_id());
  *finished.mutable_usage() = finished_->usage();
  v1::Timings& timings = *finished.mutable_timings();
  timings = finished_->timings();
  // The model's begin with its call.
  const absl::Duration before = model_started_ - received_;
  Lengthen(before, *timings.mutable_total());
  Lengthen(before, *timings.mutable_time_to_first_token());
  Write(std::move(response));
  End(absl::OkStatus());
}

void Relay::FinishAtStop(const std::string& stop) {
  WriteDelta();
  v1::GenerateResponse response;
  v1::Finished& finished = *response.mutable_finished();
  finished.set_reason(v1::FINISH_REASON_STOP_SEQUENCE);
  finished.set_stop_sequence(stop);
  finished.mutable_usage()->set_prompt_tokens(prompt_tokens_);
  finished.mutable_usage()->set_completion_tokens(tokens_);
  v1::Timings& timings = *finished.mutable_timings();
  if (finished_.has_value()) {
    const v1::Timings& models = finished_->timings();
    finished.mutable_usage()->set_cached_prompt_tokens(finished_->usage().cached_prompt_tokens());
    *timings.mutable_queue() = models.queue();
    *timings.mutable_prefill() = models.prefill();
    timings.set_prefill_tokens_per_second(models.prefill_tokens_per_second());
  }
  // The model does not know where the reply ended: these are the times that the gateway saw.
  const absl::Duration decode = last_token_ - first_token_;
  SetDuration(first_token_ - received_, *timings.mutable_time_to_first_token());
  SetDuration(decode, *timings.mutable_decode());
  SetDuration(absl::Now() - received_, *timings.mutable_total());
  if (decode > absl::ZeroDuration()) {
    timings.set_decode_tokens_per_second(static_cast<double>(tokens_ - 1) /
                                         absl::ToDoubleSeconds(decode));
  }
  Write(std::move(response));
  End(absl::OkStatus());
}

void Relay::FillToken(v1::Token& token) const {
  const std::vector<v1::VocabularyEntry>& vocabulary = *backends_->vocabulary;
  if (token.id() < vocabulary.size()) {
    token.set_piece(vocabulary[token.id()].piece());
    token.set_spelling(vocabulary[token.id()].spelling());
  }
  for (v1::Candidate& candidate : *token.mutable_candidates()) {
    if (candidate.id() < vocabulary.size()) candidate.set_piece(vocabulary[candidate.id()].piece());
  }
}

void Relay::Write(v1::GenerateResponse response) {
  response.set_sequence(sequence_++);
  client_->Write(std::move(response));
}

void Relay::End(const absl::Status& status) {
  ended_ = true;
  WriteDelta();
  client_->Finish(status);
  // After a reply that the model finished both end by themselves. Cancelled while their statuses
  // are on the way, they would count as cancelled where they were answered.
  if (!finished_.has_value() || !status.ok()) {
    model().context.TryCancel();
    decode_context_.TryCancel();
  }
  // Unless its call is over or has not begun, which its empty pointer tells.
  if (model().relay != nullptr) model().RemoveHold();
  if (decode_.relay != nullptr) decode_.RemoveHold();
  place_.Answer(status);  // Last: it may end other calls, and begin some.
}

}  // namespace llama
