#include "services/model/engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "services/model/engine/random.h"

namespace llama {
namespace {

constexpr double kNever = -std::numeric_limits<double>::infinity();

bool HasPenalties(const SamplingOptions& options) {
  return options.repetition_penalty != 1 || options.presence_penalty != 0 ||
         options.frequency_penalty != 0;
}

}  // namespace

TokenId Sampler::Draw(std::span<const float> logits, const SamplingOptions& options,
                      const DrawContext& context) {
  Adjust(logits, options, context);
  // The first of the largest: the lowest id on a tie.
  const auto most = std::max_element(logits_.begin(), logits_.end());
  if (options.temperature == 0) return static_cast<TokenId>(most - logits_.begin());
  choices_.clear();
  for (TokenId id = 0; id < logits_.size(); ++id) {
    if (logits_[id] == kNever) continue;
    choices_.push_back({(logits_[id] - *most) / double{options.temperature}, 0, id});
  }
  Keep(options);
  double total = 0;
  for (const Choice& choice : choices_) total += choice.weight;
  const double target = UniformAt(context.seed, context.tokens.size()) * total;
  double sum = 0;
  for (const Choice& choice : choices_) {
    sum += choice.weight;
    if (sum > target) return choice.id;
  }
  return choices_.back().id;
}

// In float64, where no option in range makes a finite logit overflow.
void Sampler::Adjust(std::span<const float> logits, const SamplingOptions& options,
                     const DrawContext& context) {
  logits_.assign(logits.begin(), logits.end());
  if (HasPenalties(options)) {
    std::span<const TokenId> seen = context.tokens;
    if (options.penalty_window > 0) {
      const auto window = static_cast<uint64_t>(options.penalty_window);
      seen = seen.last(static_cast<size_t>(std::min<uint64_t>(seen.size(), window)));
    }
    counts_.assign(logits.size(), 0);
    for (const TokenId id : seen) {
      if (++counts_[id] > 1) continue;
      logits_[id] = logits_[id] > 0 ? logits_[id] / double{options.repetition_penalty}
                                    : logits_[id] * double{options.repetition_penalty};
      logits_[id] -= double{options.presence_penalty};
    }
    if (options.frequency_penalty != 0) {
      for (TokenId id = 0; id < logits_.size(); ++id) {
        logits_[id] -= double{options.frequency_penalty} * static_cast<double>(counts_[id]);
      }
    }
  }
  for (const auto& [id, bias] : options.logit_bias) logits_[id] += double{bias};
  for (const TokenId id : context.forbidden) logits_[id] = kNever;
}

// Drops the choices that top_k, top_p and min_p rule out, and weighs the others.
void Sampler::Keep(const SamplingOptions& options) {
  const auto more_likely = [](const Choice& a, const Choice& b) {
    return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
  };
  if (options.top_k > 0 && static_cast<uint64_t>(options.top_k) < choices_.size()) {
    const auto end = choices_.begin() + static_cast<ptrdiff_t>(options.top_k);
    std::nth_element(choices_.begin(), end - 1, choices_.end(), more_likely);
    choices_.erase(end, choices_.end());
  }
  for (Choice& choice : choices_) choice.weight = std::exp(choice.logit);
  if (options.top_p < 1) {
    double total = 0;
    for (const Choice& choice : choices_) total += choice.weight;
    // Those below this are, all together, less than what may be missing of the sum.
    const double least = (1 - double{options.top_p}) * total / static_cast<double>(choices_.size());
    std::erase_if(choices_, [least](const Choice& choice) { return choice.weight < least; });
    // Takes the most likely from a heap until the sum is reached: no sort of the whole vocabulary.
    const auto less_likely = [&](const Choice& a, const Choice& b) { return more_likely(b, a); };
    std::make_heap(choices_.begin(), choices_.end(), less_likely);
    auto rest = choices_.end();
    for (double sum = 0; rest != choices_.begin() && sum < double{options.top_p} * total; --rest) {
      std::pop_heap(choices_.begin(), rest, less_likely);
      sum += (rest - 1)->weight;
    }
    choices_.erase(choices_.begin(), rest);
  }
  if (options.min_p > 0) {
    // The best one's logit is 0. top_k and top_p never drop it.
    const double least = std::log(double{options.min_p});
    std::erase_if(choices_, [least](const Choice& choice) { return choice.logit < least; });
  }
  // Back in the order of the ids: how the choices were found must not show in the draw.
  const auto by_id = [](const Choice& a, const Choice& b) { return a.id < b.id; };
  if (!std::is_sorted(choices_.begin(), choices_.end(), by_id)) {
    std::sort(choices_.begin(), choices_.end(), by_id);
  }
}

}  // namespace llama
