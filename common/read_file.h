#ifndef LLAMA_COMMON_READ_FILE_H_
#define LLAMA_COMMON_READ_FILE_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace llama {

// The whole content of a regular file of at most `max_bytes`. Never waits: a FIFO or a device is
// refused. Errors, each naming the path: NOT_FOUND, PERMISSION_DENIED, FAILED_PRECONDITION (not a
// regular file), OUT_OF_RANGE (too large), UNKNOWN (the system's word for another failure).
absl::StatusOr<std::string> ReadFile(const std::string& path, int64_t max_bytes);

}  // namespace llama

#endif  // LLAMA_COMMON_READ_FILE_H_
