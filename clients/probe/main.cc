#include <string>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/program.h"
#include "common/rpc/channel.h"
#include "common/rpc/client_security_flags.h"
#include "common/status_macros.h"
#include "grpc/health/v1/health.grpc.pb.h"

ABSL_FLAG(std::string, address, "127.0.0.1:50050", "The server to ask.");
ABSL_FLAG(
    std::string, service, "",
    "Full name of the service to ask for, such as llama.v1.GatewayService; empty: the process.");
ABSL_FLAG(absl::Duration, timeout, absl::Seconds(2), "How long to wait for an answer.");

namespace llama {
namespace {

absl::Status Run() {
  ASSIGN_OR_RETURN(const auto calling, ChannelCredentialsFromFlags());
  const auto stub = grpc::health::v1::Health::NewStub(
      llama::CreateChannel(absl::GetFlag(FLAGS_address), calling));
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + absl::GetFlag(FLAGS_timeout)));
  grpc::health::v1::HealthCheckRequest request;
  request.set_service(absl::GetFlag(FLAGS_service));
  grpc::health::v1::HealthCheckResponse response;
  if (const grpc::Status status = stub->Check(&context, request, &response); !status.ok()) {
    return absl::UnavailableError(
        absl::StrCat(absl::GetFlag(FLAGS_address), ": ", status.error_message()));
  }
  if (response.status() == grpc::health::v1::HealthCheckResponse::SERVING) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat(absl::GetFlag(FLAGS_address), ": ",
                   grpc::health::v1::HealthCheckResponse::ServingStatus_Name(response.status())));
}

}  // namespace
}  // namespace llama

int main(int argc, char** argv) {
  llama::ParseProgramFlags(argc, argv,
                           "asks a server for its health; exit status 0 if it serves, else 1.");
  const absl::Status status = llama::Run();
  return status.ok() ? 0 : llama::ReportFailure("lnb-probe", status);
}
