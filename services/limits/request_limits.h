#ifndef LLAMA_SERVICES_LIMITS_REQUEST_LIMITS_H_
#define LLAMA_SERVICES_LIMITS_REQUEST_LIMITS_H_

#include <array>
#include <cstdint>
#include <limits>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

// What the fields of a request may hold, where that depends on neither the model nor the request.
// The gateway refuses by this table before it asks another service, the services behind it refuse
// by it too. README.md in this folder is the same table for readers; tests hold it to this one.
namespace llama {

inline constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();

// A number between `least` and `most`.
struct FloatLimit {
  absl::string_view field;  // As BadRequest names it.
  float least = 0;
  float most = 0;
  bool above = false;  // More than `least`, not `least` itself.
};

// A whole number, or how many `unit` there are.
struct IntLimit {
  absl::string_view field;
  int64_t least = 0;
  int64_t most = 0;
  absl::string_view unit = "";  // "bytes", "ids", "messages" …; empty: the number itself.
};

inline constexpr FloatLimit kTemperature = {"sampling.temperature", 0, 100};
inline constexpr IntLimit kTopK = {"sampling.top_k", 0, kNoLimit};
inline constexpr FloatLimit kTopP = {"sampling.top_p", 0, 1, true};
inline constexpr FloatLimit kMinP = {"sampling.min_p", 0, 1};
inline constexpr FloatLimit kRepetitionPenalty = {"sampling.repetition_penalty", 0,
                                                  std::numeric_limits<float>::max(), true};
inline constexpr FloatLimit kPresencePenalty = {"sampling.presence_penalty", -2, 2};
inline constexpr FloatLimit kFrequencyPenalty = {"sampling.frequency_penalty", -2, 2};
inline constexpr IntLimit kPenaltyWindow = {"sampling.penalty_window", 0, kNoLimit};
inline constexpr FloatLimit kLogitBias = {"sampling.logit_bias", -100, 100};  // Each value.
inline constexpr IntLimit kMaxTokens = {"stopping.max_tokens", 1, kNoLimit};
inline constexpr IntLimit kMinTokens = {"stopping.min_tokens", 0, kNoLimit};
inline constexpr IntLimit kStopSequences = {"stopping.stop_sequences", 0, 16, "texts"};
inline constexpr IntLimit kStopSequenceBytes = {"stopping.stop_sequences[]", 1, 256, "bytes"};
inline constexpr IntLimit kStopTokenIds = {"stopping.stop_token_ids", 0, 16, "ids"};
inline constexpr IntLimit kTopCandidates = {"output.top_candidates", 0, 20};
inline constexpr IntLimit kRequestIdBytes = {"request_id", 0, 64, "bytes"};
inline constexpr IntLimit kCacheSaltBytes = {"cache_salt", 0, 256, "bytes"};
// Beside --max_prompt_bytes, which bounds their text.
inline constexpr IntLimit kChatMessages = {"prompt.chat.messages", 1, 4096, "messages"};
// Of ModelServiceGenerateRequest and ScoreRequest only.
inline constexpr IntLimit kEosTokenIds = {"eos_token_ids", 0, 16, "ids"};
inline constexpr IntLimit kScoreTopCandidates = {"top_candidates", 0, 20};
inline constexpr IntLimit kScoreCandidates = {"candidate_token_ids", 0, 64, "ids"};
// Of the tokenizer's requests only.
inline constexpr IntLimit kStreamIds = {"ids", 0, 4096, "ids"};
inline constexpr IntLimit kPageSize = {"page_size", 1, 10'000};

inline constexpr std::array kFloatLimits = {
    kTemperature,      kTopP,     kMinP, kRepetitionPenalty, kPresencePenalty,
    kFrequencyPenalty, kLogitBias};
inline constexpr std::array kIntLimits = {kTopK,
                                          kPenaltyWindow,
                                          kMaxTokens,
                                          kMinTokens,
                                          kStopSequences,
                                          kStopSequenceBytes,
                                          kStopTokenIds,
                                          kTopCandidates,
                                          kRequestIdBytes,
                                          kCacheSaltBytes,
                                          kChatMessages,
                                          kEosTokenIds,
                                          kScoreTopCandidates,
                                          kScoreCandidates,
                                          kStreamIds,
                                          kPageSize};

// The operator's choice, at most what a message holds.
inline constexpr int64_t kDefaultMaxPromptBytes = int64_t{1} << 20;
inline constexpr int64_t kMostMaxPromptBytes = 4'000'000;

// Errors: INVALID_ARGUMENT (FIELD_INVALID), with what was expected and found. `field`: the path,
// where it is not the table's own: "sampling.logit_bias[7]".
absl::Status CheckLimit(const FloatLimit& limit, float value, absl::string_view field = {});
absl::Status CheckLimit(const IntLimit& limit, int64_t value, absl::string_view field = {});

// stopping.time_limit, a google.protobuf.Duration: above 0 and in its range.
absl::Status CheckTimeLimit(int64_t seconds, int32_t nanos);

// INVALID_ARGUMENT (PROMPT_TOO_LONG, metadata: bytes, limit) for more bytes of text than that.
absl::Status CheckPromptBytes(int64_t bytes, int64_t max_prompt_bytes);

}  // namespace llama

#endif  // LLAMA_SERVICES_LIMITS_REQUEST_LIMITS_H_
