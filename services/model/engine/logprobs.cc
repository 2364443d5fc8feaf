#include "services/model/engine/logprobs.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "services/model/engine/exponentials.h"

namespace llama {

bool AllFinite(std::span<const float> logits) {
  return std::all_of(logits.begin(), logits.end(), [](float l) { return std::isfinite(l); });
}

float LogSumExp(std::span<const float> logits) {
  const float most = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  std::array<double, 256> block;
  for (size_t begin = 0; begin < logits.size(); begin += block.size()) {
    const size_t count = std::min(block.size(), logits.size() - begin);
    std::copy_n(logits.begin() + static_cast<ptrdiff_t>(begin), count, block.begin());
    const std::span<double> values = std::span(block).first(count);
    Exponentials(values, most, 1, values);
    for (const double value : values) sum += value;
  }
  return static_cast<float>(double{most} + std::log(sum));
}

int64_t RankOf(std::span<const float> logits, TokenId id) {
  int64_t rank = 1;
  for (TokenId other = 0; other < logits.size(); ++other) {
    if (logits[other] > logits[id] || (logits[other] == logits[id] && other < id)) ++rank;
  }
  return rank;
}

std::vector<Candidate> TopCandidates(std::span<const float> logits, float log_sum_exp,
                                     int64_t count) {
  std::vector<Candidate> top;
  if (count == 0) return top;
  std::vector<TokenId> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  const auto kept = std::min(ids.size(), static_cast<size_t>(count));
  std::partial_sort(ids.begin(), ids.begin() + static_cast<ptrdiff_t>(kept), ids.end(),
                    [logits](TokenId a, TokenId b) {
                      return logits[a] > logits[b] || (logits[a] == logits[b] && a < b);
                    });
  for (size_t i = 0; i < kept; ++i) top.push_back({ids[i], logits[ids[i]] - log_sum_exp});
  return top;
}

TokenReport ReportToken(std::span<const float> logits, TokenId id, int64_t top_candidates) {
  const float log_sum_exp = LogSumExp(logits);
  return {.id = id,
          .logprob = logits[id] - log_sum_exp,
          .rank = RankOf(logits, id),
          .candidates = TopCandidates(logits, log_sum_exp, top_candidates)};
}

}  // namespace llama
