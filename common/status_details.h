#ifndef LLAMA_COMMON_STATUS_DETAILS_H_
#define LLAMA_COMMON_STATUS_DETAILS_H_

#include <initializer_list>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "google/rpc/error_details.pb.h"

// The google.rpc details of a status. Inside a process they are payloads of an absl::Status, so
// that code without gRPC can make and read them; between processes they are gRPC's trailer
// grpc-status-details-bin (common/rpc/grpc_status.h). At most one detail of each type.
namespace llama {

// A status as every rpc of llama.v1 returns it: with an ErrorInfo. `reason` is one of those listed
// at the rpc ("QUEUE_FULL").
absl::Status MakeStatus(
    absl::StatusCode code, absl::string_view reason, absl::string_view message,
    std::initializer_list<std::pair<absl::string_view, std::string>> metadata = {});

// INVALID_ARGUMENT (FIELD_INVALID, or another reason) with a BadRequest. `field` is a path:
// "sampling.top_p", "prompt.chat.messages[2].role".
absl::Status FieldInvalid(absl::string_view field, absl::string_view description,
                          absl::string_view reason = "FIELD_INVALID");

// Tells clients when to try again.
void SetRetryDelay(absl::Duration delay, absl::Status& status);

// The `reason` of the status, or "" if it has none: it did not come from a service of ours.
std::string GetReason(const absl::Status& status);

// Nullopt if there is no such detail, or it cannot be parsed. `Detail` is a message of google.rpc.
template <typename Detail>
std::optional<Detail> GetDetail(const absl::Status& status) {
  const std::string url = absl::StrCat("type.googleapis.com/", Detail::descriptor()->full_name());
  const auto payload = status.GetPayload(url);
  Detail detail;
  if (!payload.has_value() || !detail.ParseFromString(std::string(*payload))) return std::nullopt;
  return detail;
}

}  // namespace llama

#endif  // LLAMA_COMMON_STATUS_DETAILS_H_
