#include "services/limits/request_limits.h"

#include "absl/strings/str_cat.h"
#include "common/status_details.h"

namespace llama {
namespace {

std::string Expected(const FloatLimit& limit) {
  const bool has_most = limit.most < std::numeric_limits<float>::max();
  if (!has_most) return absl::StrCat(limit.above ? "a number above " : "at least ", limit.least);
  return absl::StrCat(limit.above ? "above " : "", limit.least, " to ", limit.most);
}

std::string Expected(const IntLimit& limit) {
  const std::string unit = limit.unit.empty() ? "" : absl::StrCat(" ", limit.unit);
  if (limit.most == kNoLimit) return absl::StrCat("at least ", limit.least, unit);
  if (limit.least == 0 && !unit.empty()) return absl::StrCat("at most ", limit.most, unit);
  return absl::StrCat(limit.least, " to ", limit.most, unit);
}

template <typename Limit, typename Value>
absl::Status Refuse(const Limit& limit, Value value, absl::string_view field) {
  return FieldInvalid(field.empty() ? limit.field : field,
                      absl::StrCat("expected ", Expected(limit), ", found ", value));
}

}  // namespace

absl::Status CheckLimit(const FloatLimit& limit, float value, absl::string_view field) {
  // Not for a NaN.
  const bool enough = limit.above ? value > limit.least : value >= limit.least;
  if (enough && value <= limit.most) return absl::OkStatus();
  return Refuse(limit, value, field);
}

absl::Status CheckLimit(const IntLimit& limit, int64_t value, absl::string_view field) {
  if (value >= limit.least && value <= limit.most) return absl::OkStatus();
  return Refuse(limit, value, field);
}

absl::Status CheckTimeLimit(int64_t seconds, int32_t nanos) {
  constexpr int64_t kMaxSeconds = 315'576'000'000;  // duration.proto's.
  constexpr int32_t kMaxNanos = 999'999'999;
  const bool valid = seconds >= 0 && seconds <= kMaxSeconds && nanos >= 0 && nanos <= kMaxNanos;
  if (valid && (seconds > 0 || nanos > 0)) return absl::OkStatus();
  return FieldInvalid("stopping.time_limit",
                      absl::StrCat("expected more than 0 s, as a google.protobuf.Duration in its "
                                   "range, found ",
                                   seconds, " seconds and ", nanos, " nanos"));
}

absl::Status CheckPromptBytes(int64_t bytes, int64_t max_prompt_bytes) {
  if (bytes <= max_prompt_bytes) return absl::OkStatus();
  return MakeStatus(
      absl::StatusCode::kInvalidArgument, "PROMPT_TOO_LONG",
      absl::StrCat("the prompt has ", bytes, " bytes, expected at most ", max_prompt_bytes),
      {{"bytes", absl::StrCat(bytes)}, {"limit", absl::StrCat(max_prompt_bytes)}});
}

}  // namespace llama
