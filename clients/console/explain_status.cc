#include "clients/console/explain_status.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "common/status_details.h"

namespace llama {
namespace {

struct Meaning {
  absl::string_view reason;
  absl::string_view text;
};

constexpr Meaning kReasons[] = {
    {"BACKEND_UNREACHABLE", "The gateway cannot reach the tokenizer or the model behind it."},
    {"BACKEND_LOST", "A service behind the gateway went away in the middle of the reply."},
    {"LOADING", "The model is still being loaded."},
    {"DRAINING", "The service is about to stop and takes no new requests."},
    {"TOKENIZER_MISMATCH", "The tokenizer behind the gateway does not fit the model."},
    {"QUEUE_FULL", "Too many requests are waiting already."},
    {"DEADLINE_UNREACHABLE", "The prompt cannot be computed in the time that is left."},
    {"KV_CACHE_TOO_SMALL", "The server's memory is too small for a request of this length."},
    {"CLIENT_TOO_SLOW", "The reply was not read fast enough."},
    {"CONTEXT_LENGTH_EXCEEDED", "The prompt is longer than the model's context."},
    {"NON_FINITE_LOGITS", "The model's computation gave numbers that are not finite."},
};

absl::string_view MeaningOf(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kUnavailable:
      return "The connection to the gateway was lost.";
    case absl::StatusCode::kResourceExhausted:
      return "The server has too much to do.";
    case absl::StatusCode::kInvalidArgument:
      return "The request was refused as it is.";
    case absl::StatusCode::kDeadlineExceeded:
      return "The time for the reply is over.";
    case absl::StatusCode::kUnauthenticated:
      return "The gateway wants to know who asks.";
    case absl::StatusCode::kCancelled:
      return "The reply was cancelled.";
    default:
      return "The server failed.";
  }
}

}  // namespace

std::string ExplainStatus(const absl::Status& status) {
  const std::string reason = GetReason(status);
  absl::string_view meaning = MeaningOf(status.code());
  for (const Meaning& known : kReasons) {
    if (known.reason == reason) meaning = known.text;
  }
  std::string advice;
  if (const auto retry = GetDetail<google::rpc::RetryInfo>(status); retry.has_value()) {
    advice = absl::StrFormat(" Try again in %d s.", retry->retry_delay().seconds() + 1);
  } else if (absl::IsUnavailable(status)) {
    advice = " Try again in a moment.";
  }
  return absl::StrCat(meaning, advice, " (", absl::StatusCodeToString(status.code()),
                      reason.empty() ? "" : "/", reason, ": ", status.message(), ")");
}

}  // namespace llama
