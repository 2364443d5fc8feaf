#ifndef LLAMA_CLIENTS_CONSOLE_REPLY_VIEW_H_
#define LLAMA_CLIENTS_CONSOLE_REPLY_VIEW_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "clients/console/gateway_client.h"

namespace llama {

struct ReplyViewOptions {
  bool draw = false;   // The panel, with escapes; otherwise the reply's text alone, as it comes.
  bool names = false;  // Behind characters that came as byte tokens.
};

struct ReplyOutcome {
  std::string text;     // As the model wrote it; what had come of it, if `status` is not OK.
  absl::Status status;  // Of the call; CANCELLED by Ctrl-C.
};

// Runs a request and shows its reply: reads on a thread of its own, which a slow terminal never
// holds up, and writes on the caller's. `prompt`: as the panel shows it. Ends with how the reply
// ended. Errors: standard output cannot be written; the call is cancelled then.
absl::StatusOr<ReplyOutcome> ShowReply(GatewayClient& client, v1::GenerateRequest request,
                                       const std::string& prompt, const ReplyViewOptions& options);

}  // namespace llama

#endif  // LLAMA_CLIENTS_CONSOLE_REPLY_VIEW_H_
