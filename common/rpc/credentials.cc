#include "common/rpc/credentials.h"

#include <map>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/read_file.h"
#include "common/rpc/call_context.h"
#include "common/rpc/call_watch.h"
#include "common/status_macros.h"
#include "common/token_list.h"
#include "grpcpp/security/auth_metadata_processor.h"
#include "grpcpp/security/tls_certificate_provider.h"
#include "grpcpp/security/tls_credentials_options.h"

namespace llama {
namespace {

constexpr int64_t kMaxPemBytes = int64_t{1} << 20;
constexpr unsigned int kRefreshSeconds = 5;
constexpr absl::string_view kHealth = "/grpc.health.v1.Health/";

// gRPC would only log that a file is missing or holds something else, and refuse every connection.
absl::Status CheckPem(absl::string_view flag, const std::string& path, absl::string_view what) {
  const absl::StatusOr<std::string> file = ReadFile(path, kMaxPemBytes);
  if (!file.ok()) {
    return absl::Status(file.status().code(), absl::StrCat(flag, ": ", file.status().message()));
  }
  if (absl::StrContains(*file, "-----BEGIN ") && absl::StrContains(*file, what)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat(flag, ": ", path, ": expected a PEM file with a ", what, ", found none"));
}

absl::Status CheckFiles(absl::string_view certificate_flag, const std::string& certificate,
                        absl::string_view key_flag, const std::string& key,
                        absl::string_view ca_flag, const std::string& ca) {
  if (certificate.empty() != key.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(certificate_flag, " and ", key_flag, ": expected both or none"));
  }
  if (!certificate.empty()) {
    RETURN_IF_ERROR(CheckPem(certificate_flag, certificate, "CERTIFICATE-----"));
    RETURN_IF_ERROR(CheckPem(key_flag, key, "PRIVATE KEY-----"));
  }
  return ca.empty() ? absl::OkStatus() : CheckPem(ca_flag, ca, "CERTIFICATE-----");
}

// Lets calls in that carry one token, which is of the list, and health checks. What is wrong with a
// token is not told.
class TokenProcessor final : public grpc::AuthMetadataProcessor {
 public:
  TokenProcessor(std::unique_ptr<TokenList> tokens, std::vector<CallObserver> observers)
      : tokens_(std::move(tokens)), observers_(std::move(observers)) {}

  bool IsBlocking() const override { return false; }

  grpc::Status Process(const InputMetadata& metadata, grpc::AuthContext*, OutputMetadata*,
                       OutputMetadata*) override {
    if (absl::StartsWith(Find(metadata, ":path"), kHealth)) return grpc::Status::OK;
    // One header only: what the token stands for, CallerOf(), must be what was checked.
    if (metadata.count("authorization") == 1) {
      const absl::string_view token = BearerToken(Find(metadata, "authorization"));
      if (!token.empty() && tokens_->Contains(token)) return grpc::Status::OK;
    }
    TellOfRefusal(metadata);
    return {grpc::StatusCode::UNAUTHENTICATED, "expected a token that this server accepts"};
  }

 private:
  static absl::string_view Find(const InputMetadata& metadata, const char* key) {
    const auto found = metadata.find(key);
    return found == metadata.end() ? absl::string_view()
                                   : absl::string_view(found->second.data(), found->second.size());
  }
  void TellOfRefusal(const InputMetadata& metadata) const {
    const absl::string_view id = Find(metadata, kRequestIdMetadata);
    const CallRecord record = {
        .method = MethodName(Find(metadata, ":path")),
        .request_id = IsRequestId(id) ? std::string(id) : MakeRequestId(),
        .code = absl::StatusCode::kUnauthenticated,
        .received = absl::Now(),
    };
    for (const CallObserver& observe : observers_) observe(record);
  }

  const std::unique_ptr<TokenList> tokens_;
  const std::vector<CallObserver> observers_;
};

// Sends the token of a file, as the file has it at the time of the call.
class TokenSender final : public grpc::MetadataCredentialsPlugin {
 public:
  explicit TokenSender(std::string path) : path_(std::move(path)) {}

  grpc::Status GetMetadata(grpc::string_ref, grpc::string_ref, const grpc::AuthContext&,
                           std::multimap<grpc::string, grpc::string>* metadata) override {
    const absl::StatusOr<std::string> token = ReadToken(path_);
    if (!token.ok()) {
      return {grpc::StatusCode::UNAUTHENTICATED,
              absl::StrCat("--token: ", token.status().message())};
    }
    metadata->emplace("authorization", absl::StrCat("Bearer ", *token));
    return grpc::Status::OK;
  }

 private:
  const std::string path_;
};

}  // namespace

absl::StatusOr<ServerAccess> MakeServerAccess(const ServerSecurity& security,
                                              std::vector<CallObserver> observers,
                                              TokenList::OnError on_bad_tokens) {
  RETURN_IF_ERROR(CheckFiles("--tls_certificate", security.certificate, "--tls_key", security.key,
                             "--tls_client_ca", security.client_ca));
  if (security.certificate.empty()) {
    if (!security.client_ca.empty() || !security.accepted_tokens.empty()) {
      return absl::InvalidArgumentError(
          "--tls_client_ca and --accepted_tokens: expected --tls_certificate and --tls_key with "
          "them");
    }
    return ServerAccess{.credentials = grpc::InsecureServerCredentials()};
  }
  const auto files = std::make_shared<grpc::experimental::FileWatcherCertificateProvider>(
      security.key, security.certificate, security.client_ca, kRefreshSeconds);
  grpc::experimental::TlsServerCredentialsOptions options(files);
  options.watch_identity_key_cert_pairs();
  if (!security.client_ca.empty()) {
    options.watch_root_certs();
    options.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  }
  const std::shared_ptr<grpc::ServerCredentials> credentials =
      grpc::experimental::TlsServerCredentials(options);
  if (!security.accepted_tokens.empty()) {
    absl::StatusOr<std::unique_ptr<TokenList>> tokens =
        TokenList::Open(security.accepted_tokens, std::move(on_bad_tokens));
    if (!tokens.ok()) {
      return absl::Status(tokens.status().code(),
                          absl::StrCat("--accepted_tokens: ", tokens.status().message()));
    }
    credentials->SetAuthMetadataProcessor(
        std::make_shared<TokenProcessor>(*std::move(tokens), std::move(observers)));
  }
  return ServerAccess{.credentials = credentials,
                      .tokens_are_checked = !security.accepted_tokens.empty()};
}

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> MakeChannelCredentials(
    const ClientSecurity& security) {
  RETURN_IF_ERROR(CheckFiles("--certificate", security.certificate, "--key", security.key, "--ca",
                             security.ca));
  if (security.ca.empty()) {
    if (!security.certificate.empty() || !security.token.empty()) {
      return absl::InvalidArgumentError(
          "--certificate, --key and --token: expected --ca with them; in plain text a token would "
          "be "
          "everybody's");
    }
    return grpc::InsecureChannelCredentials();
  }
  const auto files = std::make_shared<grpc::experimental::FileWatcherCertificateProvider>(
      security.key, security.certificate, security.ca, kRefreshSeconds);
  grpc::experimental::TlsChannelCredentialsOptions options;
  options.set_certificate_provider(files);
  options.watch_root_certs();
  if (!security.certificate.empty()) options.watch_identity_key_cert_pairs();
  std::shared_ptr<grpc::ChannelCredentials> credentials =
      grpc::experimental::TlsCredentials(options);
  if (security.token.empty()) return credentials;
  if (const absl::Status token = ReadToken(security.token).status(); !token.ok()) {
    return absl::Status(token.code(), absl::StrCat("--token: ", token.message()));
  }
  return grpc::CompositeChannelCredentials(
      credentials,
      grpc::MetadataCredentialsFromPlugin(std::unique_ptr<grpc::MetadataCredentialsPlugin>(
          std::make_unique<TokenSender>(security.token))));
}

bool IsBeyondLoopback(const std::string& listen) {
  const absl::string_view host = absl::string_view(listen).substr(0, listen.rfind(':'));
  return host != "localhost" && host != "[::1]" && host != "::1" &&
         !absl::StartsWith(host, "127.") && !absl::StartsWith(listen, "unix:");
}

}  // namespace llama
