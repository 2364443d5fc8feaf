#include "services/model/request_messages.h"

#include "absl/strings/str_cat.h"
#include "common/proto_duration.h"
#include "common/rpc/call_context.h"
#include "common/status_details.h"
#include "common/status_macros.h"
#include "services/limits/request_limits.h"

namespace llama {
namespace {

SamplingOptions FromProto(const v1::SamplingOptions& in) {
  SamplingOptions out;
  if (in.has_temperature()) out.temperature = in.temperature();
  if (in.has_top_k()) out.top_k = in.top_k();
  if (in.has_top_p()) out.top_p = in.top_p();
  if (in.has_min_p()) out.min_p = in.min_p();
  if (in.has_seed()) out.seed = in.seed();
  if (in.has_repetition_penalty()) out.repetition_penalty = in.repetition_penalty();
  if (in.has_presence_penalty()) out.presence_penalty = in.presence_penalty();
  if (in.has_frequency_penalty()) out.frequency_penalty = in.frequency_penalty();
  if (in.has_penalty_window()) out.penalty_window = in.penalty_window();
  out.logit_bias.insert(in.logit_bias().begin(), in.logit_bias().end());
  return out;
}

absl::Time DeadlineOf(const grpc::CallbackServerContext& context) {
  return absl::FromChrono(context.deadline());
}

}  // namespace

absl::StatusOr<GenerateRequest> FromProto(const v1::ModelServiceGenerateRequest& in,
                                          const grpc::CallbackServerContext& context) {
  if (in.stopping().stop_sequences_size() > 0) {
    return FieldInvalid("stopping.stop_sequences",
                        absl::StrCat("expected none, for they are the gateway's; found ",
                                     in.stopping().stop_sequences_size()));
  }
  GenerateRequest out;
  out.caller = CallerOf(context);
  out.deadline = DeadlineOf(context);
  out.prompt.assign(in.prompt_token_ids().begin(), in.prompt_token_ids().end());
  out.sampling = FromProto(in.sampling());
  const v1::StoppingOptions& stopping = in.stopping();
  if (stopping.has_max_tokens()) out.stopping.max_tokens = stopping.max_tokens();
  if (stopping.has_max_total_tokens()) out.stopping.max_total_tokens = stopping.max_total_tokens();
  if (stopping.has_min_tokens()) out.stopping.min_tokens = stopping.min_tokens();
  out.stopping.stop_token_ids.assign(stopping.stop_token_ids().begin(),
                                     stopping.stop_token_ids().end());
  out.stopping.eos_token_ids.assign(in.eos_token_ids().begin(), in.eos_token_ids().end());
  out.stopping.ignore_eos = stopping.ignore_eos();
  if (stopping.has_time_limit()) {
    const google::protobuf::Duration& limit = stopping.time_limit();
    RETURN_IF_ERROR(CheckTimeLimit(limit.seconds(), limit.nanos()));
    out.stopping.time_limit = FromProto(limit);
  }
  if (in.output().has_top_candidates()) out.top_candidates = in.output().top_candidates();
  out.prompt_tokens = in.output().prompt();
  out.progress = in.output().progress();
  out.cache_salt = in.cache_salt();
  return out;
}

ScoreRequest FromProto(const v1::ScoreRequest& in, const grpc::CallbackServerContext& context) {
  return {.tokens = {in.token_ids().begin(), in.token_ids().end()},
          .from_position = in.from_position(),
          .top_candidates = in.top_candidates(),
          .candidates = {in.candidate_token_ids().begin(), in.candidate_token_ids().end()},
          .caller = CallerOf(context),
          .deadline = DeadlineOf(context)};
}

}  // namespace llama
