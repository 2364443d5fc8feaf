#include "common/rpc/call_log.h"

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "common/log.h"
#include "grpc/support/log.h"

namespace llama {
namespace {

LogLevel LevelOf(const CallRecord& record) {
  if (record.is_probe) return LogLevel::kDebug;
  switch (record.code) {
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kDataLoss:
      return LogLevel::kError;
    default:
      return LogLevel::kInfo;
  }
}

void Add(absl::string_view key, absl::string_view value, std::vector<LogField>& fields) {
  if (!value.empty()) fields.push_back({key, value});
}
void Add(absl::string_view key, std::optional<int64_t> value, std::vector<LogField>& fields) {
  if (value.has_value()) fields.push_back({key, *value});
}
void Add(absl::string_view key, std::optional<absl::Duration> value,
         std::vector<LogField>& fields) {
  if (value.has_value()) fields.push_back({key, absl::ToDoubleMilliseconds(*value)});
}

void LogGrpcMessage(gpr_log_func_args* args) {
  switch (args->severity) {
    case GPR_LOG_SEVERITY_DEBUG:
      return Log(LogLevel::kDebug, "gRPC", {{"text", absl::string_view(args->message)}});
    case GPR_LOG_SEVERITY_INFO:
      return Log(LogLevel::kInfo, "gRPC", {{"text", absl::string_view(args->message)}});
    case GPR_LOG_SEVERITY_ERROR:  // Mostly of its peers.
      return Log(LogLevel::kWarning, "gRPC", {{"text", absl::string_view(args->message)}});
  }
}

}  // namespace

void LogCall(const CallRecord& record) {
  const LogLevel level = LevelOf(record);
  if (!IsLogged(level)) return;
  std::vector<LogField> fields;
  fields.reserve(12);
  const std::string code = absl::StatusCodeToString(record.code);
  Add("request_id", record.request_id, fields);
  Add("method", record.method, fields);
  Add("peer", record.peer, fields);
  Add("caller", record.caller, fields);
  Add("code", code, fields);
  Add("reason", record.reason, fields);
  Add("prompt_tokens", record.prompt_tokens, fields);
  Add("cached_prompt_tokens", record.cached_prompt_tokens, fields);
  Add("completion_tokens", record.completion_tokens, fields);
  Add("queue_ms", record.queue, fields);
  Add("first_token_ms", record.first_token, fields);
  Add("total_ms", record.total, fields);
  Log(level, "call", fields);
}

void LogGrpcMessages() { gpr_set_log_function(LogGrpcMessage); }

}  // namespace llama
