#ifndef LLAMA_SERVICES_GATEWAY_PREFIX_KEY_H_
#define LLAMA_SERVICES_GATEWAY_PREFIX_KEY_H_

#include <cstdint>

#include "llama/v1/gateway_service.pb.h"

namespace llama {

// What requests have in common that should meet in the same replica's prefix cache: the cache salt,
// and the beginning of the prompt. Of a chat that is everything up to its first user message, which
// all its turns begin with, at most 4096 bytes of each message; of a text its first 256 bytes; of
// token ids the first 64. Shorter ones count whole. The same in every process.
uint64_t PrefixKey(const v1::GenerateRequest& request);

}  // namespace llama

#endif  // LLAMA_SERVICES_GATEWAY_PREFIX_KEY_H_
