#include "common/rpc/client_security_flags.h"

#include <string>

#include "absl/flags/flag.h"
#include "common/rpc/credentials.h"

ABSL_FLAG(std::string, ca, "",
          "PEM file with authorities; servers that are called need a certificate of one of them. "
          "Empty: plain text.");
ABSL_FLAG(std::string, certificate, "",
          "PEM file with the certificate chain to show to servers, with --key; empty: none.");
ABSL_FLAG(std::string, key, "", "PEM file with the private key of --certificate.");
ABSL_FLAG(std::string, token, "", "File with the bearer token to send to servers; empty: none.");

namespace llama {

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> ChannelCredentialsFromFlags() {
  return MakeChannelCredentials({.ca = absl::GetFlag(FLAGS_ca),
                                 .certificate = absl::GetFlag(FLAGS_certificate),
                                 .key = absl::GetFlag(FLAGS_key),
                                 .token = absl::GetFlag(FLAGS_token)});
}

}  // namespace llama
