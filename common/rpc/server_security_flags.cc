#include "common/rpc/server_security_flags.h"

#include <utility>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "common/log.h"
#include "common/rpc/credentials.h"

ABSL_FLAG(
    std::string, tls_certificate, "",
    "PEM file with the server's certificate chain, with --tls_key; empty: plain text. Files are "
    "read again when they change.");
ABSL_FLAG(std::string, tls_key, "", "PEM file with the private key of --tls_certificate.");
ABSL_FLAG(std::string, tls_client_ca, "",
          "PEM file with authorities; clients need a certificate of one of them. Empty: they need "
          "none.");
ABSL_FLAG(std::string, accepted_tokens, "",
          "File with bearer tokens, a token a line; calls need one of them, but for health checks. "
          "Empty: they need none.");

namespace llama {

absl::StatusOr<ServerAccess> ServerAccessFromFlags(const std::string& listen,
                                                   std::vector<CallObserver> observers) {
  const ServerSecurity security = {.certificate = absl::GetFlag(FLAGS_tls_certificate),
                                   .key = absl::GetFlag(FLAGS_tls_key),
                                   .client_ca = absl::GetFlag(FLAGS_tls_client_ca),
                                   .accepted_tokens = absl::GetFlag(FLAGS_accepted_tokens)};
  auto access = MakeServerAccess(security, std::move(observers), [](const absl::Status& status) {
    LogWarning(absl::StrCat("--accepted_tokens: ", status.message(),
                            "; the tokens read before stay accepted"));
  });
  if (access.ok() && security.certificate.empty() && IsBeyondLoopback(listen)) {
    LogWarning(absl::StrCat("listening on ", listen,
                            " without TLS: other machines can read and send requests"));
  }
  return access;
}

}  // namespace llama
