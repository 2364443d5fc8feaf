#include "common/rpc/grpc_status.h"

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "grpcpp/support/error_details.h"

namespace llama {

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  google::rpc::Status packed;
  packed.set_code(static_cast<int>(status.code()));
  packed.set_message(std::string(status.message()));
  status.ForEachPayload([&packed](absl::string_view type_url, const absl::Cord& payload) {
    auto* detail = packed.add_details();
    detail->set_type_url(std::string(type_url));
    detail->set_value(std::string(payload));
  });
  grpc::Status result;
  grpc::SetErrorDetails(packed, &result);
  return result;
}

absl::Status FromGrpcStatus(const grpc::Status& status) {
  absl::Status result(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  google::rpc::Status packed;
  if (!grpc::ExtractErrorDetails(status, &packed).ok()) return result;
  for (const auto& detail : packed.details()) {
    result.SetPayload(detail.type_url(), absl::Cord(detail.value()));
  }
  return result;
}

std::string ReasonOf(const grpc::Status& status) {
  google::rpc::Status packed;
  if (status.error_details().empty() || !packed.ParseFromString(status.error_details())) return "";
  google::rpc::ErrorInfo info;
  for (const auto& detail : packed.details()) {
    if (detail.UnpackTo(&info)) return info.reason();
  }
  return "";
}

}  // namespace llama
