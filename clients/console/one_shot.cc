#include "clients/console/one_shot.h"

#include <unistd.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "clients/console/explain_status.h"
#include "clients/console/sanitize.h"
#include "clients/console/terminal.h"
#include "common/status_macros.h"
#include "google/protobuf/util/json_util.h"

namespace llama {
namespace {

std::string ToJsonLine(const v1::GenerateResponse& response) {
  std::string line;
  // Only messages of type Any can fail, and there are none.
  (void)google::protobuf::util::MessageToJsonString(response, &line);
  return line + '\n';
}

}  // namespace

absl::Status AnswerOnce(GatewayClient& client, const v1::GenerateRequest& request, bool json) {
  const bool terminal = isatty(STDOUT_FILENO) != 0;
  absl::Status written;
  bool at_line_start = true;
  const auto write = [&](const std::string& text) {
    if (text.empty()) return true;
    at_line_start = text.back() == '\n';
    written = WriteOut(text);
    return written.ok();
  };
  const absl::Status status = client.Generate(request, [&](const v1::GenerateResponse& response) {
    if (json) return write(ToJsonLine(response));
    const std::string& text = response.delta().text();
    return write(terminal ? SanitizeForTerminal(text) : text);
  });
  RETURN_IF_ERROR(written);
  // A failed reply's text must not run into the line on standard error.
  if (!json && (status.ok() || !at_line_start)) RETURN_IF_ERROR(WriteOut("\n"));
  if (absl::IsCancelled(status)) return absl::CancelledError("Stopped by Ctrl+C.");
  if (!status.ok()) return absl::Status(status.code(), ExplainStatus(status));
  return absl::OkStatus();
}

}  // namespace llama
