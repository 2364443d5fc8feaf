#ifndef LLAMA_SERVICES_GATEWAY_REPLICA_CHOICE_H_
#define LLAMA_SERVICES_GATEWAY_REPLICA_CHOICE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "absl/strings/string_view.h"

namespace llama {

// A hash that is the same in every process, so that all gateways choose alike. Not for secrets: who
// knows it can find bytes of equal hash.
uint64_t StableHash(absl::string_view bytes, uint64_t seed = 0);

// What the choice knows of a replica.
struct ReplicaLoad {
  uint64_t id = 0;    // StableHash() of its address.
  int64_t calls = 0;  // Of this gateway, under way.
  bool usable = true;
};

// Which replica a call goes to, as an index; nothing if none is usable.
//
// Rendezvous hashing: `key` puts the replicas in an order of its own, in which those that come or
// go change nothing for the others (Thaler and Ravishankar, 1998). Bounded loads: the call goes to
// the first in the order that has less than 1.25 times its share of all usable replicas' calls, and
// one more (Mirrokni, Thorup and Zadimoghaddam, 2018). One always has.
std::optional<size_t> ChooseReplica(uint64_t key, std::span<const ReplicaLoad> replicas);

}  // namespace llama

#endif  // LLAMA_SERVICES_GATEWAY_REPLICA_CHOICE_H_
