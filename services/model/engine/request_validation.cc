#include "services/model/engine/request_validation.h"

#include <algorithm>
#include <limits>
#include <span>

#include "absl/strings/str_cat.h"
#include "common/status_details.h"
#include "common/status_macros.h"

namespace llama {
namespace {

constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
constexpr int64_t kMaxCandidates = 20;
constexpr size_t kMaxStopTokens = 16;
constexpr size_t kMaxScoreCandidates = 64;
constexpr size_t kMaxCacheSaltBytes = 256;

template <typename T>
absl::Status InRange(absl::string_view field, T value, T least, T most) {
  if (value >= least && value <= most) return absl::OkStatus();  // Not for a NaN.
  return FieldInvalid(field,
                      most == static_cast<T>(kMost)
                          ? absl::StrCat("expected at least ", least, ", found ", value)
                          : absl::StrCat("expected ", least, " to ", most, ", found ", value));
}

absl::Status Above0(absl::string_view field, float value, float most) {
  if (value > 0 && value <= most) return absl::OkStatus();
  return FieldInvalid(field, absl::StrCat("expected above 0 to ", most, ", found ", value));
}

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
  RETURN_IF_ERROR(InRange("sampling.temperature", sampling.temperature, 0.0F, 100.0F));
  RETURN_IF_ERROR(InRange("sampling.top_k", sampling.top_k, int64_t{0}, kMost));
  RETURN_IF_ERROR(Above0("sampling.top_p", sampling.top_p, 1));
  RETURN_IF_ERROR(InRange("sampling.min_p", sampling.min_p, 0.0F, 1.0F));
  RETURN_IF_ERROR(Above0("sampling.repetition_penalty", sampling.repetition_penalty,
                         std::numeric_limits<float>::max()));
  RETURN_IF_ERROR(InRange("sampling.presence_penalty", sampling.presence_penalty, -2.0F, 2.0F));
  RETURN_IF_ERROR(InRange("sampling.frequency_penalty", sampling.frequency_penalty, -2.0F, 2.0F));
  RETURN_IF_ERROR(InRange("sampling.penalty_window", sampling.penalty_window, int64_t{0}, kMost));
  for (const auto& [id, bias] : sampling.logit_bias) {
    const std::string field = absl::StrCat("sampling.logit_bias[", id, "]");
    RETURN_IF_ERROR(InVocabulary(field, id, limits));
    RETURN_IF_ERROR(InRange(field, bias, -100.0F, 100.0F));
  }
  return absl::OkStatus();
}

absl::Status CheckStopping(const StoppingOptions& stopping, const ModelLimits& limits) {
  if (stopping.max_tokens.has_value()) {
    RETURN_IF_ERROR(InRange("stopping.max_tokens", *stopping.max_tokens, int64_t{1}, kMost));
  }
  RETURN_IF_ERROR(InRange("stopping.min_tokens", stopping.min_tokens, int64_t{0}, kMost));
  if (stopping.stop_token_ids.size() > kMaxStopTokens) {
    return FieldInvalid("stopping.stop_token_ids",
                        absl::StrCat("expected at most ", kMaxStopTokens, " ids, found ",
                                     stopping.stop_token_ids.size()));
  }
  RETURN_IF_ERROR(AllInVocabulary("stopping.stop_token_ids", stopping.stop_token_ids, limits));
  if (stopping.eos_token_ids.size() > kMaxStopTokens) {
    return FieldInvalid("eos_token_ids",
                        absl::StrCat("expected at most ", kMaxStopTokens, " ids, found ",
                                     stopping.eos_token_ids.size()));
  }
  RETURN_IF_ERROR(AllInVocabulary("eos_token_ids", stopping.eos_token_ids, limits));
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
    RETURN_IF_ERROR(
        InRange("output.top_candidates", *request.top_candidates, int64_t{0}, kMaxCandidates));
  }
  if (request.cache_salt.size() > kMaxCacheSaltBytes) {
    return FieldInvalid("cache_salt", absl::StrCat("expected at most ", kMaxCacheSaltBytes,
                                                   " bytes, found ", request.cache_salt.size()));
  }
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
  RETURN_IF_ERROR(InRange("from_position", request.from_position, int64_t{0},
                          static_cast<int64_t>(request.tokens.size()) - 1));
  RETURN_IF_ERROR(InRange("top_candidates", request.top_candidates, int64_t{0}, kMaxCandidates));
  if (request.candidates.size() > kMaxScoreCandidates) {
    return FieldInvalid("candidate_token_ids",
                        absl::StrCat("expected at most ", kMaxScoreCandidates, " ids, found ",
                                     request.candidates.size()));
  }
  return AllInVocabulary("candidate_token_ids", request.candidates, limits);
}

}  // namespace llama
