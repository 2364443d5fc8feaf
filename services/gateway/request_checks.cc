#include "services/gateway/request_checks.h"

#include "absl/strings/str_cat.h"
#include "common/rpc/call_context.h"
#include "common/status_details.h"
#include "common/status_macros.h"
#include "services/limits/request_limits.h"

namespace llama {
namespace {

absl::Status CheckRequestId(const std::string& id) {
  if (id.empty() || IsRequestId(id)) return absl::OkStatus();
  return FieldInvalid(kRequestIdBytes.field,
                      absl::StrCat("expected at most ", kRequestIdBytes.most,
                                   " letters, digits, '-' or '_', found ",
                                   id.size() > static_cast<size_t>(kRequestIdBytes.most)
                                       ? absl::StrCat(id.size(), " bytes")
                                       : "others"));
}

absl::Status CheckPrompt(const v1::Prompt& prompt, int64_t max_prompt_bytes) {
  switch (prompt.input_case()) {
    case v1::Prompt::kText:
      return CheckPromptBytes(static_cast<int64_t>(prompt.text().size()), max_prompt_bytes);
    case v1::Prompt::kChat: {
      RETURN_IF_ERROR(CheckLimit(kChatMessages, prompt.chat().messages_size()));
      int64_t bytes = 0;
      for (const v1::ChatMessage& message : prompt.chat().messages()) {
        bytes += static_cast<int64_t>(message.content().size());
      }
      return CheckPromptBytes(bytes, max_prompt_bytes);
    }
    case v1::Prompt::kTokenIds:
      return CheckLimit(IntLimit{"prompt.token_ids.ids", 1, max_prompt_bytes, "ids"},
                        prompt.token_ids().ids_size());
    case v1::Prompt::INPUT_NOT_SET:
      break;
  }
  return FieldInvalid("prompt", "expected text, chat or token_ids");
}

absl::Status CheckSampling(const v1::SamplingOptions& sampling) {
  // One that is not set is 0, which is not in every range.
  const auto check = [](bool is_set, const auto& limit, auto value) {
    return is_set ? CheckLimit(limit, value) : absl::OkStatus();
  };
  RETURN_IF_ERROR(check(sampling.has_temperature(), kTemperature, sampling.temperature()));
  RETURN_IF_ERROR(check(sampling.has_top_k(), kTopK, sampling.top_k()));
  RETURN_IF_ERROR(check(sampling.has_top_p(), kTopP, sampling.top_p()));
  RETURN_IF_ERROR(check(sampling.has_min_p(), kMinP, sampling.min_p()));
  RETURN_IF_ERROR(
      check(sampling.has_repetition_penalty(), kRepetitionPenalty, sampling.repetition_penalty()));
  RETURN_IF_ERROR(
      check(sampling.has_presence_penalty(), kPresencePenalty, sampling.presence_penalty()));
  RETURN_IF_ERROR(
      check(sampling.has_frequency_penalty(), kFrequencyPenalty, sampling.frequency_penalty()));
  RETURN_IF_ERROR(check(sampling.has_penalty_window(), kPenaltyWindow, sampling.penalty_window()));
  for (const auto& [id, bias] : sampling.logit_bias()) {
    RETURN_IF_ERROR(CheckLimit(kLogitBias, bias, absl::StrCat(kLogitBias.field, "[", id, "]")));
  }
  return absl::OkStatus();
}

absl::Status CheckStopping(const v1::StoppingOptions& stopping) {
  if (stopping.has_max_tokens()) RETURN_IF_ERROR(CheckLimit(kMaxTokens, stopping.max_tokens()));
  if (stopping.has_min_tokens()) RETURN_IF_ERROR(CheckLimit(kMinTokens, stopping.min_tokens()));
  RETURN_IF_ERROR(CheckLimit(kStopSequences, stopping.stop_sequences_size()));
  for (int i = 0; i < stopping.stop_sequences_size(); ++i) {
    RETURN_IF_ERROR(CheckLimit(kStopSequenceBytes,
                               static_cast<int64_t>(stopping.stop_sequences(i).size()),
                               absl::StrCat(kStopSequences.field, "[", i, "]")));
  }
  RETURN_IF_ERROR(CheckLimit(kStopTokenIds, stopping.stop_token_ids_size()));
  return stopping.has_time_limit()
             ? CheckTimeLimit(stopping.time_limit().seconds(), stopping.time_limit().nanos())
             : absl::OkStatus();
}

}  // namespace

absl::Status CheckGenerateRequest(const v1::GenerateRequest& request, int64_t max_prompt_bytes) {
  RETURN_IF_ERROR(CheckRequestId(request.request_id()));
  RETURN_IF_ERROR(CheckLimit(kCacheSaltBytes, static_cast<int64_t>(request.cache_salt().size())));
  RETURN_IF_ERROR(CheckPrompt(request.prompt(), max_prompt_bytes));
  RETURN_IF_ERROR(CheckSampling(request.sampling()));
  RETURN_IF_ERROR(CheckStopping(request.stopping()));
  return request.output().has_top_candidates()
             ? CheckLimit(kTopCandidates, request.output().top_candidates())
             : absl::OkStatus();
}

}  // namespace llama
