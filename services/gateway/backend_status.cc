#include "services/gateway/backend_status.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/rpc/grpc_status.h"
#include "common/status_details.h"

namespace llama {
namespace {

constexpr absl::string_view kModelPath = "prompt_token_ids";
constexpr absl::string_view kGatewayPath = "prompt.token_ids.ids";
constexpr absl::string_view kBadRequestUrl = "type.googleapis.com/google.rpc.BadRequest";

std::string MapPath(const std::string& path) {
  absl::string_view rest = path;
  return absl::ConsumePrefix(&rest, kModelPath) ? absl::StrCat(kGatewayPath, rest) : path;
}

// The field paths of the model service in terms of GenerateRequest; the rest as it is.
absl::Status MapFields(const absl::Status& status) {
  auto bad_request = GetDetail<google::rpc::BadRequest>(status);
  if (!bad_request.has_value()) return status;
  for (auto& violation : *bad_request->mutable_field_violations()) {
    violation.set_field(MapPath(violation.field()));
  }
  // The message begins with the path, too.
  absl::Status mapped(status.code(), MapPath(std::string(status.message())));
  status.ForEachPayload([&mapped](absl::string_view type_url, const absl::Cord& payload) {
    mapped.SetPayload(type_url, payload);
  });
  mapped.SetPayload(kBadRequestUrl, absl::Cord(bad_request->SerializeAsString()));
  return mapped;
}

// CANCELLED is not: if it was the client who cancelled, it does not hear of it any more; otherwise
// the backend was shut down.
bool IsTheBackends(const absl::Status& status) {
  return !GetReason(status).empty() || status.code() == absl::StatusCode::kDeadlineExceeded ||
         status.code() == absl::StatusCode::kResourceExhausted;
}

}  // namespace

bool IsAway(const grpc::Status& status) {
  return status.error_code() == grpc::StatusCode::UNAVAILABLE ||
         status.error_code() == grpc::StatusCode::CANCELLED;
}

absl::Status BackendFailed(absl::string_view backend, const grpc::Status& status) {
  const absl::Status converted = FromGrpcStatus(status);
  if (IsTheBackends(converted)) return MapFields(converted);
  return MakeStatus(
      absl::StatusCode::kUnavailable, "BACKEND_UNREACHABLE",
      absl::StrCat("the ", backend, " service cannot be reached: ", converted.message()),
      {{"backend", std::string(backend)}});
}

absl::Status NoModel() {
  return BackendFailed("model",
                       grpc::Status(grpc::StatusCode::UNAVAILABLE, "no replica of it can be used"));
}

absl::Status BackendLost(absl::string_view backend, const grpc::Status& status, int64_t tokens) {
  const absl::Status converted = FromGrpcStatus(status);
  if (IsTheBackends(converted)) return MapFields(converted);
  return MakeStatus(absl::StatusCode::kUnavailable, "BACKEND_LOST",
                    absl::StrCat("the ", backend, " service went away after ", tokens,
                                 " tokens: ", converted.message()),
                    {{"backend", std::string(backend)}, {"tokens", absl::StrCat(tokens)}});
}

}  // namespace llama
