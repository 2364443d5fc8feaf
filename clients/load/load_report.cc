#include "clients/load/load_report.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/status_details.h"

namespace llama {
namespace {

double Milliseconds(absl::Duration duration) { return absl::ToDoubleMilliseconds(duration); }

std::string ReasonOf(const absl::Status& status) {
  const std::string reason = GetReason(status);
  return reason.empty() ? absl::StatusCodeToString(status.code()) : reason;
}

std::string Line(absl::string_view name, const Percentiles& values) {
  return absl::StrFormat("%-22s %10.1f %10.1f %10.1f %10.1f   of %d\n", name,
                         Milliseconds(values.p50), Milliseconds(values.p90),
                         Milliseconds(values.p99), Milliseconds(values.max), values.count);
}

std::string Json(absl::string_view name, const Percentiles& values) {
  return absl::StrFormat(
      "\"%s\":{\"count\":%d,\"p50\":%.3f,\"p90\":%.3f,\"p99\":%.3f,\"max\":%.3f}", name,
      values.count, Milliseconds(values.p50), Milliseconds(values.p90), Milliseconds(values.p99),
      Milliseconds(values.max));
}

}  // namespace

Percentiles PercentilesOf(std::vector<absl::Duration> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  // The smallest value that so many percent do not exceed.
  const auto at = [&](size_t percent) { return values[(values.size() * percent + 99) / 100 - 1]; };
  return {.count = static_cast<int64_t>(values.size()),
          .p50 = at(50),
          .p90 = at(90),
          .p99 = at(99),
          .max = values.back()};
}

LoadReport MakeReport(const LoadRun& run,
                      const std::map<int64_t, std::vector<uint32_t>>& reference) {
  LoadReport report;
  std::vector<absl::Duration> first_tokens, gaps, totals, refusals;
  int64_t tokens = 0;
  int64_t good_tokens = 0;
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;
  for (const CallResult& result : run.results) {
    ++report.requests;
    tokens += static_cast<int64_t>(result.ids.size());
    if (result.status.ok() && result.finished) {
      ++report.replies;
      good_tokens += static_cast<int64_t>(result.ids.size());
      prompt_tokens += result.prompt_tokens;
      cached_tokens += result.cached_prompt_tokens;
      if (result.first_token.has_value()) first_tokens.push_back(*result.first_token);
      gaps.insert(gaps.end(), result.gaps.begin(), result.gaps.end());
      totals.push_back(result.total);
      const auto expected = reference.find(result.kind);
      if (expected != reference.end() && expected->second != result.ids) ++report.different;
    } else if (result.cancelled && absl::IsCancelled(result.status)) {
      ++report.cancelled;
    } else {
      const std::string reason = result.status.ok() ? "CUT_SHORT" : ReasonOf(result.status);
      ++report.failures[reason];
      if (reason == "QUEUE_FULL") refusals.push_back(result.total);
    }
  }
  const double seconds = absl::ToDoubleSeconds(run.duration);
  const auto rate = [seconds](int64_t count) {
    return seconds > 0 ? static_cast<double>(count) / seconds : 0;
  };
  report.duration = run.duration;
  report.requests_per_second = rate(report.replies);
  report.tokens_per_second = rate(tokens);
  report.goodput = rate(good_tokens);
  if (prompt_tokens > 0) {
    report.cached_share = static_cast<double>(cached_tokens) / static_cast<double>(prompt_tokens);
  }
  report.first_token = PercentilesOf(std::move(first_tokens));
  report.gap = PercentilesOf(std::move(gaps));
  report.total = PercentilesOf(std::move(totals));
  report.refusal = PercentilesOf(std::move(refusals));
  return report;
}

std::string ToText(const LoadReport& report) {
  std::string text =
      absl::StrFormat("%d requests in %.2f s: %d replies, %d cancelled", report.requests,
                      absl::ToDoubleSeconds(report.duration), report.replies, report.cancelled);
  for (const auto& [reason, count] : report.failures) {
    absl::StrAppend(&text, ", ", count, " ", reason);
  }
  if (report.different > 0) {
    absl::StrAppend(&text, "; ", report.different, " replies DIFFER from the unloaded ones");
  }
  absl::StrAppend(
      &text, absl::StrFormat("\n%.1f replies/s, %.1f tokens/s, %.1f of them in whole replies; "
                             "%.0f %% of the prompt tokens were cached\n",
                             report.requests_per_second, report.tokens_per_second, report.goodput,
                             100 * report.cached_share));
  absl::StrAppend(&text, absl::StrFormat("%-22s %10s %10s %10s %10s\n", "milliseconds", "p50",
                                         "p90", "p99", "max"));
  absl::StrAppend(&text, Line("time to first token", report.first_token),
                  Line("gap between tokens", report.gap), Line("whole reply", report.total));
  if (report.refusal.count > 0) absl::StrAppend(&text, Line("until refused", report.refusal));
  return text;
}

std::string ToJson(const LoadReport& report) {
  const auto failure = [](std::string* out, const auto& entry) {
    absl::StrAppend(out, "\"", entry.first, "\":", entry.second);
  };
  return absl::StrCat(
      absl::StrFormat("{\"requests\":%d,\"replies\":%d,\"cancelled\":%d,\"different\":%d,",
                      report.requests, report.replies, report.cancelled, report.different),
      "\"failures\":{", absl::StrJoin(report.failures, ",", failure), "},",
      absl::StrFormat("\"seconds\":%.3f,\"requests_per_second\":%.3f,\"tokens_per_second\":%.3f,"
                      "\"goodput_tokens_per_second\":%.3f,\"cached_prompt_share\":%.4f,",
                      absl::ToDoubleSeconds(report.duration), report.requests_per_second,
                      report.tokens_per_second, report.goodput, report.cached_share),
      Json("time_to_first_token_ms", report.first_token), ",", Json("token_gap_ms", report.gap),
      ",", Json("reply_ms", report.total), ",", Json("refusal_ms", report.refusal), "}\n");
}

}  // namespace llama
