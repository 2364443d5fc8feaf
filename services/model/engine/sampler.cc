#include "services/model/engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <utility>

#include "services/model/engine/exponentials.h"
#include "services/model/engine/random.h"

namespace llama {
namespace {

constexpr double kNever = -std::numeric_limits<double>::infinity();

// Vectors that every processor has, several of them at a time: the compiler leaves sums and maxima
// in the order in which they are written.
constexpr size_t kLanes = 2;
constexpr size_t kVectors = 4;
constexpr size_t kStep = kVectors * kLanes;
using Lanes [[gnu::vector_size(kLanes * sizeof(double))]] = double;
using LaneMasks [[gnu::vector_size(kLanes * sizeof(double))]] = int64_t;

Lanes Load(const double* from) {
  Lanes lanes;
  std::memcpy(&lanes, from, sizeof lanes);
  return lanes;
}

bool HasPenalties(const SamplingOptions& options) {
  return options.repetition_penalty != 1 || options.presence_penalty != 0 ||
         options.frequency_penalty != 0;
}

double Most(std::span<const double> values) {
  Lanes most[kVectors];
  for (Lanes& lanes : most) lanes = Lanes{kNever, kNever};
  size_t i = 0;
  for (; i + kStep <= values.size(); i += kStep) {
    for (size_t v = 0; v < kVectors; ++v) {
      const Lanes next = Load(&values[i + v * kLanes]);
      most[v] = next > most[v] ? next : most[v];
    }
  }
  double greatest = kNever;
  for (const Lanes& lanes : most) greatest = std::max({greatest, lanes[0], lanes[1]});
  for (; i < values.size(); ++i) greatest = std::max(greatest, values[i]);
  return greatest;
}

double Sum(std::span<const double> values) {
  Lanes sums[kVectors] = {};
  size_t i = 0;
  for (; i + kStep <= values.size(); i += kStep) {
    for (size_t v = 0; v < kVectors; ++v) sums[v] += Load(&values[i + v * kLanes]);
  }
  double sum = 0;
  for (const Lanes& lanes : sums) sum += lanes[0] + lanes[1];
  for (; i < values.size(); ++i) sum += values[i];
  return sum;
}

// Choices that are looked at together, to be passed over if none of them matters.
constexpr size_t kBlock = 64;

std::span<const double> Block(std::span<const double> values, size_t begin) {
  return values.subspan(begin, std::min(kBlock, values.size() - begin));
}

// Of the choices whose keys are at least some value: how many, and the sum of the keys.
struct Mass {
  size_t count = 0;
  double sum = 0;
};

Mass MassFrom(std::span<const double> keys, double least) {
  Lanes sums[kVectors] = {};
  LaneMasks counts[kVectors] = {};
  const Lanes limit = {least, least};
  size_t i = 0;
  for (; i + kStep <= keys.size(); i += kStep) {
    for (size_t v = 0; v < kVectors; ++v) {
      const Lanes next = Load(&keys[i + v * kLanes]);
      const LaneMasks mask = next >= limit;  // All ones, -1, where it holds.
      sums[v] += reinterpret_cast<Lanes>(reinterpret_cast<LaneMasks>(next) & mask);
      counts[v] -= mask;
    }
  }
  Mass mass;
  for (size_t v = 0; v < kVectors; ++v) {
    mass.count += static_cast<size_t>(counts[v][0] + counts[v][1]);
    mass.sum += sums[v][0] + sums[v][1];
  }
  for (; i < keys.size(); ++i) {
    if (keys[i] < least) continue;
    ++mass.count;
    mass.sum += keys[i];
  }
  return mass;
}

}  // namespace

TokenId Sampler::Draw(std::span<const float> logits, const SamplingOptions& options,
                      const DrawContext& context) {
  Adjust(logits, options, context);
  most_ = Most(logits_);
  if (options.temperature == 0) {
    // The first of the largest: the lowest id on a tie.
    return static_cast<TokenId>(std::find(logits_.begin(), logits_.end(), most_) - logits_.begin());
  }
  ids_.resize(logits_.size());
  std::iota(ids_.begin(), ids_.end(), TokenId{0});
  weights_.resize(logits_.size());
  if (options.top_k > 0 && static_cast<uint64_t>(options.top_k) < logits_.size()) {
    const auto top_k = static_cast<size_t>(options.top_k);
    const double least = LeastKept(
        logits_, [this](double x) { return most_ - x; },
        [top_k](const Mass& mass) { return mass.count >= top_k; });
    KeepFrom(logits_, least);
  }
  Exponentials(logits_, most_, 1 / double{options.temperature}, weights_);
  double least = std::numeric_limits<double>::min();
  if (options.top_p < 1) {
    const double goal = double{options.top_p} * Sum(weights_);
    least = std::max(least, LeastKept(
                                weights_, [](double x) { return std::exp(-x); },
                                [goal](const Mass& mass) { return mass.sum >= goal; }));
  }
  // The best one's weight is 1: it is never dropped.
  least = std::max(least, double{options.min_p});
  return DrawFrom(least, UniformAt(context.seed, context.tokens.size()));
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
    counts_.resize(logits.size());
    for (const TokenId id : seen) ++counts_[id];
    for (const TokenId id : seen) {
      // Each of them once; zero again for the next draw.
      const auto count = static_cast<double>(std::exchange(counts_[id], 0));
      if (count == 0) continue;
      double& logit = logits_[id];
      logit = logit > 0 ? logit / double{options.repetition_penalty}
                        : logit * double{options.repetition_penalty};
      logit -= double{options.presence_penalty} + double{options.frequency_penalty} * count;
    }
  }
  for (const auto& [id, bias] : options.logit_bias) logits_[id] += double{bias};
  for (const TokenId id : context.forbidden) logits_[id] = kNever;
}

// Finds the fewest choices with the largest keys, logits_ or weights_, of which enough(mass) holds.
// Returns the least of their keys; keys that equal it and are not among them become kNever.
// key_at(x) for x = 1, 2, 4, … goes from near the largest key to below all. Sorts only the few keys
// around the last one that is kept, which it finds by counting what lies above one or another.
template <typename KeyAt, typename Enough>
double Sampler::LeastKept(std::vector<double>& keys, const KeyAt& key_at, const Enough& enough) {
  constexpr size_t kFew = 256;
  constexpr int kMostHalvings = 16;
  // What lies at or above `above` is not enough; what lies at or above `below` is.
  double above = std::numeric_limits<double>::infinity();
  double below = key_at(1);
  Mass from_above;
  Mass from_below = MassFrom(keys, below);
  for (int i = 1; !enough(from_below) && from_below.count < keys.size(); ++i) {
    above = below;
    from_above = from_below;
    below = key_at(std::ldexp(1.0, i));
    from_below = MassFrom(keys, below);
  }
  // Where that spares more than it takes.
  if (from_below.count < keys.size() / 2) KeepFrom(keys, below);
  above = std::min(above, std::nextafter(key_at(0), above));
  for (int i = 0; i < kMostHalvings && from_below.count - from_above.count > kFew; ++i) {
    const double middle = below + (above - below) / 2;
    const Mass from_middle = MassFrom(keys, middle);
    const bool reached = enough(from_middle);
    (reached ? below : above) = middle;
    (reached ? from_below : from_above) = from_middle;
  }
  order_.clear();
  for (size_t begin = 0; begin < keys.size(); begin += kBlock) {
    const std::span<const double> block = Block(keys, begin);
    if (MassFrom(block, below).count == MassFrom(block, above).count) continue;
    for (size_t i = begin; i < begin + block.size(); ++i) {
      if (keys[i] >= below && keys[i] < above) order_.push_back(i);
    }
  }
  const auto more_likely = [&keys](size_t a, size_t b) {
    return keys[a] > keys[b] || (keys[a] == keys[b] && a < b);
  };
  if (!std::is_sorted(order_.begin(), order_.end(), more_likely)) {
    std::sort(order_.begin(), order_.end(), more_likely);
  }
  Mass kept = from_above;
  size_t i = 0;
  for (; i < order_.size() && !enough(kept); ++i) {
    ++kept.count;
    kept.sum += keys[order_[i]];
  }
  const double least = keys[order_[i - 1]];
  // Those of the same likelihood that come after it.
  for (; i < order_.size() && keys[order_[i]] == least; ++i) keys[order_[i]] = kNever;
  return least;
}

// Drops choices whose keys are less.
void Sampler::KeepFrom(const std::vector<double>& keys, double least) {
  size_t count = 0;
  for (size_t i = 0; i < keys.size(); ++i) {
    // Copied in any case: a branch that cannot be foreseen would take longer.
    const bool kept = keys[i] >= least;
    ids_[count] = ids_[i];
    logits_[count] = logits_[i];
    weights_[count] = weights_[i];
    count += static_cast<size_t>(kept);
  }
  ids_.resize(count);
  logits_.resize(count);
  weights_.resize(count);
}

// Of the choices that weigh at least so much, the first with which the sum of the weights exceeds
// this part of all. Finds the block in which it is, then the choice.
TokenId Sampler::DrawFrom(double least, double uniform) const {
  double total = 0;
  for (size_t i = 0; i < weights_.size(); i += kBlock) {
    total += MassFrom(Block(weights_, i), least).sum;
  }
  const double target = uniform * total;
  size_t begin = 0;
  double sum = 0;
  for (; begin + kBlock < weights_.size(); begin += kBlock) {
    const double next = sum + MassFrom(Block(weights_, begin), least).sum;
    if (next > target) break;
    sum = next;
  }
  TokenId drawn = ids_[begin];
  for (size_t i = begin; i < weights_.size() && sum <= target; ++i) {
    if (weights_[i] < least) continue;  // Cannot be drawn, whatever rounding makes of the sum.
    sum += weights_[i];
    drawn = ids_[i];
  }
  return drawn;
}

}  // namespace llama
