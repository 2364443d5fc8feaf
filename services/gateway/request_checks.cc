#include "services/gateway/request_checks.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/status_details.h"

namespace llama {
namespace {

constexpr size_t kMaxRequestIdBytes = 64;
constexpr int kMaxStopSequences = 16;
constexpr size_t kMaxStopSequenceBytes = 256;

}  // namespace

absl::Status CheckGenerateRequest(const v1::GenerateRequest& request) {
  const std::string& id = request.request_id();
  if (id.size() > kMaxRequestIdBytes || !std::all_of(id.begin(), id.end(), [](unsigned char c) {
        return absl::ascii_isalnum(c) || c == '-' || c == '_';
      })) {
    return FieldInvalid("request_id", absl::StrCat("expected at most ", kMaxRequestIdBytes,
                                                   " letters, digits, '-' or '_'"));
  }
  const auto& stops = request.stopping().stop_sequences();
  if (stops.size() > kMaxStopSequences) {
    return FieldInvalid(
        "stopping.stop_sequences",
        absl::StrCat("expected at most ", kMaxStopSequences, ", found ", stops.size()));
  }
  for (int i = 0; i < stops.size(); ++i) {
    if (!stops[i].empty() && stops[i].size() <= kMaxStopSequenceBytes) continue;
    return FieldInvalid(
        absl::StrCat("stopping.stop_sequences[", i, "]"),
        absl::StrCat("expected 1 to ", kMaxStopSequenceBytes, " bytes, found ", stops[i].size()));
  }
  return absl::OkStatus();
}

}  // namespace llama
