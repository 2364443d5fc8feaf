#ifndef LLAMA_COMMON_LOG_H_
#define LLAMA_COMMON_LOG_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace llama {

// Sets the process's log, which goes to standard error: `level` is "trace", "debug", "info",
// "warning", "error" or "off". Call once, in main(). Errors: INVALID_ARGUMENT.
absl::Status SetUpLog(absl::string_view level, absl::string_view format);

// One line each; control characters are escaped. Thread-safe. Never log prompts or replies.
void LogInfo(absl::string_view message);
void LogWarning(absl::string_view message);
void LogError(absl::string_view message);

}  // namespace llama

#endif  // LLAMA_COMMON_LOG_H_
