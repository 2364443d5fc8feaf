#ifndef LLAMA_SERVICES_MODEL_ENGINE_LOGPROBS_H_
#define LLAMA_SERVICES_MODEL_ENGINE_LOGPROBS_H_

#include <cstdint>
#include <span>
#include <vector>

#include "services/model/engine/request.h"

namespace llama {

// What the model itself thinks of the next token: temperature 1, before penalties and biases. All
// of it depends on the logits alone, to the bit.

// Whether no logit is NaN or infinite.
bool AllFinite(std::span<const float> logits);

// ln Σ exp(logit), summed in float64 in the order of the ids.
float LogSumExp(std::span<const float> logits);

// 1 for the most likely token; of equally likely ones the lower id is first.
int64_t RankOf(std::span<const float> logits, TokenId id);

// The `count` most likely tokens, most likely first, of equally likely ones the lower id.
std::vector<Candidate> TopCandidates(std::span<const float> logits, float log_sum_exp,
                                     int64_t count);

// The report on token `id`, with `top_candidates` candidates.
TokenReport ReportToken(std::span<const float> logits, TokenId id, int64_t top_candidates);

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_ENGINE_LOGPROBS_H_
