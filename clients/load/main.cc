#include <cstdio>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "clients/load/load_plan.h"
#include "clients/load/load_report.h"
#include "clients/load/load_runner.h"
#include "common/program.h"
#include "common/rpc/channel.h"
#include "common/rpc/client_security_flags.h"
#include "common/rpc/grpc_status.h"
#include "common/status_macros.h"

ABSL_FLAG(std::string, gateway, "127.0.0.1:50050", "The gateway: any gRPC target.");
ABSL_FLAG(int64_t, clients, 8, "Most calls under way at the same time.");
ABSL_FLAG(int64_t, requests, 100, "Requests in all.");
ABSL_FLAG(
    double, rate, 0,
    "Arrivals per second, at random times; 0: each client sends its next request when the last "
    "one has ended.");
ABSL_FLAG(absl::Duration, ramp, absl::ZeroDuration(),
          "Without --rate: the time over which the clients begin, one by one; 0: all at once.");
ABSL_FLAG(std::vector<std::string>, prompt_tokens, std::vector<std::string>({"64"}),
          "Lengths of prompts, in tokens, separated by commas; each request has one of them.");
ABSL_FLAG(std::vector<std::string>, reply_tokens, std::vector<std::string>({"64"}),
          "Lengths of replies, in tokens; likewise.");
ABSL_FLAG(int64_t, shared_tokens, 0, "How many tokens all prompts begin with alike.");
ABSL_FLAG(int64_t, distinct, 0, "Different requests; 0: all are different.");
ABSL_FLAG(double, cancel_percent, 0, "Percentage of calls that are cancelled within the reply.");
ABSL_FLAG(absl::Duration, deadline, absl::InfiniteDuration(), "Deadline of each call; inf: none.");
ABSL_FLAG(uint64_t, seed, 1, "Of the requests, their times and cancellations.");
ABSL_FLAG(
    bool, check, false,
    "First send each distinct request alone, then compare every whole reply with the reply to "
    "that; exit status 1 if one differs.");
ABSL_FLAG(bool, json, false, "Print the figures as one line of JSON, times in milliseconds.");

namespace llama {
namespace {

constexpr absl::Duration kInfoTimeout = absl::Seconds(5);

absl::Status CheckFlag(absl::string_view name, int64_t value, int64_t least, int64_t most) {
  if (value >= least && value <= most) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--", name, ": expected ", least, " to ", most, ", found ", value));
}

absl::StatusOr<std::vector<int64_t>> Lengths(absl::string_view name,
                                             const std::vector<std::string>& texts) {
  std::vector<int64_t> lengths;
  for (const std::string& text : texts) {
    int64_t length = 0;
    if (!absl::SimpleAtoi(text, &length) || length < 1 || length > 1'000'000) {
      return absl::InvalidArgumentError(
          absl::StrCat("--", name, ": expected numbers of tokens, 1 to 1000000, found ", text));
    }
    lengths.push_back(length);
  }
  if (lengths.empty())
    return absl::InvalidArgumentError(absl::StrCat("--", name, ": expected one"));
  return lengths;
}

absl::StatusOr<LoadOptions> OptionsFromFlags() {
  LoadOptions options = {.clients = absl::GetFlag(FLAGS_clients),
                         .requests = absl::GetFlag(FLAGS_requests),
                         .rate = absl::GetFlag(FLAGS_rate),
                         .ramp = absl::GetFlag(FLAGS_ramp),
                         .shared_tokens = absl::GetFlag(FLAGS_shared_tokens),
                         .distinct = absl::GetFlag(FLAGS_distinct),
                         .cancel_percent = absl::GetFlag(FLAGS_cancel_percent),
                         .deadline = absl::GetFlag(FLAGS_deadline),
                         .seed = absl::GetFlag(FLAGS_seed)};
  RETURN_IF_ERROR(CheckFlag("clients", options.clients, 1, 100'000));
  RETURN_IF_ERROR(CheckFlag("requests", options.requests, 1, 10'000'000));
  RETURN_IF_ERROR(CheckFlag("shared_tokens", options.shared_tokens, 0, 1'000'000));
  RETURN_IF_ERROR(CheckFlag("distinct", options.distinct, 0, 10'000'000));
  if (!(options.rate >= 0 && options.rate <= 1e6)) {
    return absl::InvalidArgumentError("--rate: expected 0 to 1000000 arrivals per second");
  }
  if (!(options.cancel_percent >= 0 && options.cancel_percent <= 100)) {
    return absl::InvalidArgumentError("--cancel_percent: expected 0 to 100");
  }
  if (options.ramp < absl::ZeroDuration() || options.ramp > absl::Hours(24)) {
    return absl::InvalidArgumentError("--ramp: expected 0 s to 24 h");
  }
  if (options.deadline <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError("--deadline: expected more than 0 s");
  }
  ASSIGN_OR_RETURN(options.prompt_tokens,
                   Lengths("prompt_tokens", absl::GetFlag(FLAGS_prompt_tokens)));
  ASSIGN_OR_RETURN(options.reply_tokens,
                   Lengths("reply_tokens", absl::GetFlag(FLAGS_reply_tokens)));
  return options;
}

absl::StatusOr<int64_t> VocabularySize(const LoadTarget& target) {
  const std::string& address = target.address;
  const auto stub = v1::GatewayService::NewStub(CreateChannel(address, target.credentials));
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + kInfoTimeout));
  v1::GetInfoResponse info;
  const absl::Status status = FromGrpcStatus(stub->GetInfo(&context, {}, &info));
  if (!status.ok()) {
    return absl::Status(status.code(), absl::StrCat(address, ": ", status.message()));
  }
  const int64_t size = info.model().dimensions().vocab_size();
  if (size > 4) return size;
  return absl::FailedPreconditionError(absl::StrCat(address, ": its vocabulary has no words"));
}

// The replies to the distinct requests of a plan, one after the other.
absl::StatusOr<std::map<int64_t, std::vector<uint32_t>>> References(
    const LoadTarget& target, const std::vector<PlannedRequest>& plan) {
  std::map<int64_t, PlannedRequest> kinds;
  for (const PlannedRequest& planned : plan) {
    PlannedRequest alone = planned;
    alone.cancel_after = {};
    alone.arrival = absl::ZeroDuration();
    kinds.emplace(planned.kind, std::move(alone));
  }
  std::vector<PlannedRequest> alone;
  for (auto& [kind, planned] : kinds) alone.push_back(std::move(planned));
  std::map<int64_t, std::vector<uint32_t>> replies;
  const LoadRun run = RunLoad(target, {.clients = 1}, alone);
  for (const CallResult& result : run.results) {
    RETURN_IF_ERROR(result.status);
    replies[result.kind] = result.ids;
  }
  return replies;
}

absl::Status Run() {
  ASSIGN_OR_RETURN(const LoadOptions options, OptionsFromFlags());
  LoadTarget target = {.address = absl::GetFlag(FLAGS_gateway)};
  ASSIGN_OR_RETURN(target.credentials, ChannelCredentialsFromFlags());
  ASSIGN_OR_RETURN(const int64_t vocabulary_size, VocabularySize(target));
  const std::vector<PlannedRequest> plan = PlanLoad(options, vocabulary_size);
  std::map<int64_t, std::vector<uint32_t>> references;
  if (absl::GetFlag(FLAGS_check)) {
    ASSIGN_OR_RETURN(references, References(target, plan));
  }
  const LoadReport report = MakeReport(RunLoad(target, options, plan), references);
  const std::string text = absl::GetFlag(FLAGS_json) ? ToJson(report) : ToText(report);
  if (std::fputs(text.c_str(), stdout) < 0 || std::fflush(stdout) != 0) {
    return absl::UnknownError("cannot write to standard output");
  }
  if (report.different == 0) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat(report.different, " replies differ from the unloaded ones"));
}

}  // namespace
}  // namespace llama

int main(int argc, char** argv) {
  llama::ParseProgramFlags(
      argc, argv,
      "many clients of one gateway: throughput, times to the first token, gaps between tokens and "
      "refusals, as percentiles. Connections are open before the first call. A call's times count "
      "from when it was due to when this program has seen the answer, its own work included: a "
      "thousand calls at once take it a tenth of a second and more.");
  const absl::Status status = llama::Run();
  return status.ok() ? 0 : llama::ReportFailure("lnb-load", status);
}
