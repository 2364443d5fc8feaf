#include "services/model/engine/request_validation.h"

#include <algorithm>
#include <limits>
#include <span>

#include "absl/strings/str_cat.h"
#include "common/status_details.h"
#include "common/status_macros.h"
#include "services/limits/request_limits.h"

namespace llama {
namespace {

constexpr int64_t kMost = std::numeric_limits<int64_t>::max();

absl::Status InVocabulary(absl::string_view field, TokenId id, const ModelLimits& limits) {
  if (id < limits.vocab_size) return absl::OkStatus();
  return FieldInvalid(field,
                      absl::StrCat("expected an id below ", limits.vocab_size, ", found ", id));
}

absl::Status AllInVocabulary(absl::string_view field, std::span<const TokenId> ids,
                             const ModelLimits& limits) {
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < limits.vocab_size) continue;
    return InVocabulary(absl::StrCat(field, "[", i, "]"), ids[i], limits);
  }
  return absl::OkStatus();
}

absl::Status CheckSampling(const SamplingOptions& sampling, const ModelLimits& limits) {
  RETURN_IF_ERROR(CheckLimit(kTemperature, sampling.temperature));
  RETURN_IF_ERROR(CheckLimit(kTopK, sampling.top_k));
  RETURN_IF_ERROR(CheckLimit(kTopP, sampling.top_p));
  RETURN_IF_ERROR(CheckLimit(kMinP, sampling.min_p));
  RETURN_IF_ERROR(CheckLimit(kRepetitionPenalty, sampling.repetition_penalty));
  RETURN_IF_ERROR(CheckLimit(kPresencePenalty, sampling.presence_penalty));
  RETURN_IF_ERROR(CheckLimit(kFrequencyPenalty, sampling.frequency_penalty));
  RETURN_IF_ERROR(CheckLimit(kPenaltyWindow, sampling.penalty_window));
  for (const auto& [id, bias] : sampling.logit_bias) {
    const std::string field = absl::StrCat(kLogitBias.field, "[", id, "]");
    RETURN_IF_ERROR(InVocabulary(field, id, limits));
    RETURN_IF_ERROR(CheckLimit(kLogitBias, bias, field));
  }
  return absl::OkStatus();
}

absl::Status CheckIds(const IntLimit& limit, std::span<const TokenId> ids,
                      const ModelLimits& limits) {
  RETURN_IF_ERROR(CheckLimit(limit, static_cast<int64_t>(ids.size())));
  return AllInVocabulary(limit.field, ids, limits);
}

absl::Status CheckStopping(const StoppingOptions& stopping, const ModelLimits& limits) {
  if (stopping.max_tokens.has_value()) {
    RETURN_IF_ERROR(CheckLimit(kMaxTokens, *stopping.max_tokens));
  }
  RETURN_IF_ERROR(CheckLimit(kMinTokens, stopping.min_tokens));
  RETURN_IF_ERROR(CheckIds(kStopTokenIds, stopping.stop_token_ids, limits));
  RETURN_IF_ERROR(CheckIds(kEosTokenIds, stopping.eos_token_ids, limits));
  if (stopping.time_limit.has_value() && *stopping.time_limit <= absl::ZeroDuration()) {
    return FieldInvalid(
        "stopping.time_limit",
        absl::StrCat("expected more than 0 s, found ", absl::FormatDuration(*stopping.time_limit)));
  }
  return absl::OkStatus();
}

absl::Status CheckTokens(absl::string_view field, std::span<const TokenId> tokens, int64_t most,
                         const ModelLimits& limits) {
  if (tokens.empty()) return FieldInvalid(field, "expected at least one token, found none");
  const auto count = static_cast<int64_t>(tokens.size());
  if (count > most) {
    return MakeStatus(absl::StatusCode::kInvalidArgument, "CONTEXT_LENGTH_EXCEEDED",
                      absl::StrCat("the prompt has ", count, " tokens; the context of ",
                                   limits.context_length, " holds prompts of up to ", most),
                      {{"prompt_tokens", absl::StrCat(count)},
                       {"context_length", absl::StrCat(limits.context_length)}});
  }
  return AllInVocabulary(field, tokens, limits);
}

}  // namespace

absl::StatusOr<ReplyLimit> CheckRequest(const GenerateRequest& request, const ModelLimits& limits) {
  RETURN_IF_ERROR(
      CheckTokens("prompt_token_ids", request.prompt, limits.context_length - 1, limits));
  RETURN_IF_ERROR(CheckSampling(request.sampling, limits));
  RETURN_IF_ERROR(CheckStopping(request.stopping, limits));
  if (request.top_candidates.has_value()) {
    RETURN_IF_ERROR(CheckLimit(kTopCandidates, *request.top_candidates));
  }
  RETURN_IF_ERROR(CheckLimit(kCacheSaltBytes, static_cast<int64_t>(request.cache_salt.size())));
  const auto prompt = static_cast<int64_t>(request.prompt.size());
  int64_t given = request.stopping.max_tokens.value_or(kMost);
  if (request.stopping.max_total_tokens.has_value()) {
    const int64_t total = *request.stopping.max_total_tokens;
    if (total <= prompt) {
      return FieldInvalid(
          "stopping.max_total_tokens",
          absl::StrCat("expected more than the prompt's ", prompt, " tokens, found ", total));
    }
    given = std::min(given, total - prompt);
  }
  int64_t room = limits.context_length - prompt;
  // The last token of a reply takes no position.
  if (given == kMost && limits.cache_tokens < limits.context_length) {
    room = std::clamp<int64_t>(limits.cache_tokens + 1 - prompt, 1, room);
  }
  if (given <= room) return ReplyLimit{given, FinishReason::kMaxTokens};
  return ReplyLimit{room, FinishReason::kContextLength};
}

absl::Status CheckRequest(const ScoreRequest& request, const ModelLimits& limits) {
  RETURN_IF_ERROR(CheckTokens("token_ids", request.tokens, limits.context_length, limits));
  const auto last = static_cast<int64_t>(request.tokens.size()) - 1;
  RETURN_IF_ERROR(CheckLimit(IntLimit{"from_position", 0, last}, request.from_position));
  RETURN_IF_ERROR(CheckLimit(kScoreTopCandidates, request.top_candidates));
  return CheckIds(kScoreCandidates, request.candidates, limits);
}

}  // namespace llama
