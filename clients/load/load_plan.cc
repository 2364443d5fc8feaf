#include "clients/load/load_plan.h"

#include <algorithm>
#include <random>

namespace llama {
namespace {

constexpr uint32_t kFirstOrdinaryToken = 3;  // After <unk>, <s> and </s>.
constexpr uint32_t kBeginOfSequence = 1;

template <typename Value>
Value OneOf(const std::vector<Value>& values, std::mt19937_64& random) {
  return values[random() % values.size()];
}

v1::GenerateRequest MakeRequest(const LoadOptions& options, uint32_t vocabulary_size,
                                uint64_t kind) {
  const auto token = [vocabulary_size](std::mt19937_64& random) {
    return kFirstOrdinaryToken +
           static_cast<uint32_t>(random() % (vocabulary_size - kFirstOrdinaryToken));
  };
  std::mt19937_64 own(options.seed * 1'000'003 + kind);
  std::mt19937_64 shared(options.seed);
  v1::GenerateRequest request;
  auto& ids = *request.mutable_prompt()->mutable_token_ids()->mutable_ids();
  const int64_t length = OneOf(options.prompt_tokens, own);
  ids.Add(kBeginOfSequence);
  while (ids.size() < std::min(length, options.shared_tokens)) ids.Add(token(shared));
  while (ids.size() < length) ids.Add(token(own));
  request.mutable_sampling()->set_temperature(1);
  request.mutable_sampling()->set_seed(own());
  request.mutable_stopping()->set_max_tokens(OneOf(options.reply_tokens, own));
  request.mutable_stopping()->set_ignore_eos(true);
  request.mutable_output()->set_tokens(true);
  return request;
}

}  // namespace

std::vector<PlannedRequest> PlanLoad(const LoadOptions& options, int64_t vocabulary_size) {
  std::mt19937_64 random(options.seed);
  std::exponential_distribution<double> gap(options.rate > 0 ? options.rate : 1);
  std::uniform_real_distribution<double> percent(0, 100);
  std::vector<PlannedRequest> plan;
  absl::Duration time;
  for (int64_t i = 0; i < options.requests; ++i) {
    PlannedRequest planned;
    planned.kind = options.distinct > 0 ? i % options.distinct : i;
    planned.request = MakeRequest(options, static_cast<uint32_t>(vocabulary_size),
                                  static_cast<uint64_t>(planned.kind));
    if (options.rate > 0) {
      time += absl::Seconds(gap(random));
    } else {
      time = options.ramp * std::min(i, options.clients) / options.clients;
    }
    planned.arrival = time;
    if (percent(random) < options.cancel_percent) {
      const auto most = static_cast<uint64_t>(planned.request.stopping().max_tokens());
      planned.cancel_after = static_cast<int64_t>(random() % most);
    }
    plan.push_back(std::move(planned));
  }
  return plan;
}

}  // namespace llama
