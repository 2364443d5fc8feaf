#ifndef LLAMA_CLIENTS_CONSOLE_ONE_SHOT_H_
#define LLAMA_CLIENTS_CONSOLE_ONE_SHOT_H_

#include "absl/status/status.h"
#include "clients/console/gateway_client.h"

namespace llama {

// Answers one request on standard output as the reply comes, and ends it with a newline. The bytes
// are the model's own, but on a terminal made safe for it. `json`: every message of the stream as a
// line of JSON instead. Errors: the call's, in words; CANCELLED after Ctrl-C; standard output.
absl::Status AnswerOnce(GatewayClient& client, const v1::GenerateRequest& request, bool json);

}  // namespace llama

#endif  // LLAMA_CLIENTS_CONSOLE_ONE_SHOT_H_
