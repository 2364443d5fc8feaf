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

// A FIELD_INVALID of the model service in terms of GenerateRequest.
absl::Status MapField(const absl::Status& status) {
  const auto bad_request = GetDetail<google::rpc::BadRequest>(status);
  if (!bad_request.has_value() || bad_request->field_violations_size() != 1) return status;
  const auto& violation = bad_request->field_violations(0);
  absl::string_view rest = violation.field();
  if (!absl::ConsumePrefix(&rest, kModelPath)) return status;
  return FieldInvalid(absl::StrCat(kGatewayPath, rest), violation.description(), GetReason(status));
}

bool IsTheBackends(const absl::Status& status) {
  return !GetReason(status).empty() || status.code() == absl::StatusCode::kCancelled ||
         status.code() == absl::StatusCode::kDeadlineExceeded ||
         status.code() == absl::StatusCode::kResourceExhausted;
}

}  // namespace

absl::Status BackendFailed(absl::string_view backend, const grpc::Status& status) {
  const absl::Status converted = FromGrpcStatus(status);
  if (IsTheBackends(converted)) return MapField(converted);
  return MakeStatus(
      absl::StatusCode::kUnavailable, "BACKEND_UNREACHABLE",
      absl::StrCat("the ", backend, " service cannot be reached: ", converted.message()),
      {{"backend", std::string(backend)}});
}

absl::Status BackendLost(absl::string_view backend, const grpc::Status& status, int64_t tokens) {
  const absl::Status converted = FromGrpcStatus(status);
  if (IsTheBackends(converted)) return MapField(converted);
  return MakeStatus(absl::StatusCode::kUnavailable, "BACKEND_LOST",
                    absl::StrCat("the ", backend, " service went away after ", tokens,
                                 " tokens: ", converted.message()),
                    {{"backend", std::string(backend)}, {"tokens", absl::StrCat(tokens)}});
}

}  // namespace llama
