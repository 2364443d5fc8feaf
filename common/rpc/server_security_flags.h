#ifndef LLAMA_COMMON_RPC_SERVER_SECURITY_FLAGS_H_
#define LLAMA_COMMON_RPC_SERVER_SECURITY_FLAGS_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "grpcpp/security/server_credentials.h"

namespace llama {

// As --tls_certificate, --tls_key, --tls_client_ca and --accepted_tokens say, for a server on
// `listen`. Warns in the log where that is beyond this machine and in plain text. Errors: those of
// MakeServerCredentials().
absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> ServerCredentialsFromFlags(
    const std::string& listen);

}  // namespace llama

#endif  // LLAMA_COMMON_RPC_SERVER_SECURITY_FLAGS_H_
