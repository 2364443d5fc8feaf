#ifndef LLAMA_COMMON_RPC_CREDENTIALS_H_
#define LLAMA_COMMON_RPC_CREDENTIALS_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/rpc/call_record.h"
#include "common/token_list.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/security/server_credentials.h"

// TLS, and bearer tokens, from files that the flags of the programs name. Certificates and keys are
// PEM, and are read again within seconds after their files change, as are tokens.
namespace llama {

// What listens. All empty: plain text.
struct ServerSecurity {
  std::string certificate;  // The chain; with `key`.
  std::string key;          // Of the first certificate.
  std::string client_ca;    // Clients need a certificate of one of these; empty: they need none.
  std::string accepted_tokens;  // A token a line; one of them is needed for all rpcs but health.
};

// The same, checked and read.
struct ServerAccess {
  std::shared_ptr<grpc::ServerCredentials> credentials = nullptr;  // Null: plain text.
  bool tokens_are_checked = false;
};

// What calls. All empty: plain text.
struct ClientSecurity {
  std::string ca;           // Servers need a certificate of one of these, for the name called by.
  std::string certificate;  // Shown to the server; with `key`.
  std::string key;
  std::string token;  // File with the token to send.
};

// Errors, which start with the flag at fault: INVALID_ARGUMENT for flags that do not go together
// and files that hold something else; those of ReadFile().
// `observers` are told of calls that are refused for their token, which no server gets to see,
// `on_bad_tokens` of changes of the list of tokens that cannot be read, as TokenList has it.
absl::StatusOr<ServerAccess> MakeServerAccess(
    const ServerSecurity& security, std::vector<CallObserver> observers = {},
    TokenList::OnError on_bad_tokens = [](const absl::Status&) {});
absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> MakeChannelCredentials(
    const ClientSecurity& security);

// Whether "host:port" can be reached from other machines: the host is not localhost, 127.x.x.x or
// [::1].
bool IsBeyondLoopback(const std::string& listen);

}  // namespace llama

#endif  // LLAMA_COMMON_RPC_CREDENTIALS_H_
