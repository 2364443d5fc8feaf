#ifndef LLAMA_COMMON_RPC_SERVER_SECURITY_FLAGS_H_
#define LLAMA_COMMON_RPC_SERVER_SECURITY_FLAGS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/rpc/credentials.h"

namespace llama {

// As --tls_certificate, --tls_key, --tls_client_ca and --accepted_tokens say, for a server on
// `listen`. Warns in the log where that is beyond this machine and in plain text. `observers` and
// errors: those of MakeServerAccess().
absl::StatusOr<ServerAccess> ServerAccessFromFlags(const std::string& listen,
                                                   std::vector<CallObserver> observers);

}  // namespace llama

#endif  // LLAMA_COMMON_RPC_SERVER_SECURITY_FLAGS_H_
