#ifndef LLAMA_COMMON_LOG_H_
#define LLAMA_COMMON_LOG_H_

#include <cstdint>
#include <initializer_list>
#include <span>
#include <variant>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

// The process's log, on standard error. Writing a line never waits for who reads it: a thread of
// its own does. Up to 8192 lines wait for it; when they are more, the oldest are dropped, and a
// line says how many were.
namespace llama {

// Sets the log up: `level` is "trace", "debug", "info", "warning", "error" or "off", `format`
// "text" or "json". Call once, in main(); until then nothing is logged. When the process exits, it
// waits up to a second for the lines to be written. Errors: INVALID_ARGUMENT.
absl::Status SetUpLog(absl::string_view level, absl::string_view format);

// One line each; control characters are escaped. Thread-safe. Never log prompts or replies.
void LogInfo(absl::string_view message);
void LogWarning(absl::string_view message);
void LogError(absl::string_view message);

enum class LogLevel { kDebug, kInfo, kWarning, kError };

struct LogField {
  absl::string_view key;  // A plain name: lower-case letters and '_'.
  std::variant<absl::string_view, int64_t, double> value;
};

// A line with fields: `message key=value …` as text, members of the object in JSON.
void Log(LogLevel level, absl::string_view message, std::span<const LogField> fields);
void Log(LogLevel level, absl::string_view message, std::initializer_list<LogField> fields);
// Whether a line of this level would be written.
bool IsLogged(LogLevel level);

// Waits until what was logged is written, at most `timeout`. Returns whether it is.
bool FlushLog(absl::Duration timeout);

}  // namespace llama

#endif  // LLAMA_COMMON_LOG_H_
