#ifndef LLAMA_COMMON_SERVER_FLAGS_H_
#define LLAMA_COMMON_SERVER_FLAGS_H_

#include <string>

#include "absl/flags/declare.h"
#include "absl/time/time.h"

// The flags that every server has.
ABSL_DECLARE_FLAG(std::string, log_level);
ABSL_DECLARE_FLAG(std::string, log_format);
ABSL_DECLARE_FLAG(std::string, metrics_listen);
ABSL_DECLARE_FLAG(absl::Duration, drain_timeout);

#endif  // LLAMA_COMMON_SERVER_FLAGS_H_
