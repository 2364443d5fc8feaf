#ifndef LLAMA_COMMON_SHA256_H_
#define LLAMA_COMMON_SHA256_H_

#include <string>

#include "absl/strings/string_view.h"

namespace llama {

// The SHA-256 (FIPS 180-4) of the bytes, as 64 lower-case hexadecimal digits.
std::string Sha256Hex(absl::string_view bytes);

}  // namespace llama

#endif  // LLAMA_COMMON_SHA256_H_
