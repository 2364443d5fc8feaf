#ifndef LLAMA_CLIENTS_CONSOLE_EXPLAIN_STATUS_H_
#define LLAMA_CLIENTS_CONSOLE_EXPLAIN_STATUS_H_

#include <string>

#include "absl/status/status.h"

namespace llama {

// A failed call for people, in one line: what it means, what may help, and in brackets the status
// as it came. May hold control characters of the message.
std::string ExplainStatus(const absl::Status& status);

}  // namespace llama

#endif  // LLAMA_CLIENTS_CONSOLE_EXPLAIN_STATUS_H_
