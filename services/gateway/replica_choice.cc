#include "services/gateway/replica_choice.h"

#include <algorithm>

namespace llama {
namespace {

constexpr double kMostOfShare = 1.25;

// Every bit of the input changes each bit of the output with a probability of a half (the last step
// of SplitMix64).
uint64_t Mix(uint64_t bits) {
  bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9u;
  bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EBu;
  return bits ^ (bits >> 31);
}

}  // namespace

uint64_t StableHash(absl::string_view bytes, uint64_t seed) {
  uint64_t hash = 0xCBF29CE484222325u ^ Mix(seed);  // FNV-1a.
  for (const char byte : bytes) hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001B3u;
  return Mix(hash ^ bytes.size());
}

std::optional<size_t> ChooseReplica(uint64_t key, std::span<const ReplicaLoad> replicas) {
  int64_t usable = 0;
  int64_t calls = 0;
  for (const ReplicaLoad& replica : replicas) {
    if (!replica.usable) continue;
    ++usable;
    calls += replica.calls;
  }
  if (usable == 0) return std::nullopt;
  const double bound =
      kMostOfShare * static_cast<double>(calls + 1) / static_cast<double>(usable) + 1;
  std::optional<size_t> best;
  uint64_t best_weight = 0;
  for (size_t i = 0; i < replicas.size(); ++i) {
    if (!replicas[i].usable || static_cast<double>(replicas[i].calls) >= bound) continue;
    const uint64_t weight = Mix(replicas[i].id ^ Mix(key));
    if (!best.has_value() || weight > best_weight) {
      best = i;
      best_weight = weight;
    }
  }
  return best;
}

}  // namespace llama
