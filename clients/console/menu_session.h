#ifndef LLAMA_CLIENTS_CONSOLE_MENU_SESSION_H_
#define LLAMA_CLIENTS_CONSOLE_MENU_SESSION_H_

#include <vector>

#include "absl/status/status.h"
#include "clients/console/gateway_client.h"
#include "clients/console/line_input.h"
#include "clients/console/menu.h"

namespace llama {

struct MenuSessionOptions {
  std::vector<MenuItem> items;
  v1::GenerateRequest request;  // Sampling and stopping of every reply.
  bool draw = false;            // With escapes: bold text, the panel.
  bool names = true;            // Behind characters that came as byte tokens.
};

// Shows the menu, runs what is chosen, and so on until "q" or the end of the input. Failed calls
// are told and lead back to the menu. Errors: standard output cannot be written.
absl::Status RunMenuSession(GatewayClient& client, LineInput& input,
                            const MenuSessionOptions& options);

}  // namespace llama

#endif  // LLAMA_CLIENTS_CONSOLE_MENU_SESSION_H_
