#include "common/status_details.h"

#include "common/proto_duration.h"

namespace llama {
namespace {

void SetDetail(const google::protobuf::Message& detail, absl::Status& status) {
  status.SetPayload(absl::StrCat("type.googleapis.com/", detail.GetDescriptor()->full_name()),
                    absl::Cord(detail.SerializeAsString()));
}

}  // namespace

absl::Status MakeStatus(absl::StatusCode code, absl::string_view reason, absl::string_view message,
                        std::initializer_list<std::pair<absl::string_view, std::string>> metadata) {
  google::rpc::ErrorInfo info;
  info.set_reason(std::string(reason));
  info.set_domain("llama.v1");
  for (const auto& [key, value] : metadata) (*info.mutable_metadata())[std::string(key)] = value;
  absl::Status status(code, message);
  SetDetail(info, status);
  return status;
}

absl::Status FieldInvalid(absl::string_view field, absl::string_view description,
                          absl::string_view reason) {
  google::rpc::BadRequest bad_request;
  auto* violation = bad_request.add_field_violations();
  violation->set_field(std::string(field));
  violation->set_description(std::string(description));
  absl::Status status = MakeStatus(absl::StatusCode::kInvalidArgument, reason,
                                   absl::StrCat(field, ": ", description));
  SetDetail(bad_request, status);
  return status;
}

void SetRetryDelay(absl::Duration delay, absl::Status& status) {
  google::rpc::RetryInfo info;
  SetDuration(delay, *info.mutable_retry_delay());
  SetDetail(info, status);
}

std::string GetReason(const absl::Status& status) {
  const auto info = GetDetail<google::rpc::ErrorInfo>(status);
  return info.has_value() ? info->reason() : "";
}

}  // namespace llama
