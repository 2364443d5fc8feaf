#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "common/log.h"
#include "common/metrics_process.h"
#include "common/metrics_server.h"
#include "common/program.h"
#include "common/rpc/call_log.h"
#include "common/rpc/gate_metrics.h"
#include "common/rpc/rpc_metrics.h"
#include "common/rpc/server.h"
#include "common/rpc/server_security_flags.h"
#include "common/server_flags.h"
#include "common/status_macros.h"
#include "common/termination.h"
#include "prometheus/registry.h"
#include "services/limits/request_limits.h"
#include "services/tokenizer/tokenizer.h"
#include "services/tokenizer/tokenizer_service.h"

ABSL_FLAG(std::string, listen, "127.0.0.1:50051", "Address to serve on, HOST:PORT.");
ABSL_FLAG(std::string, tokenizer, "", "The tokenizer.model file to serve.");
ABSL_FLAG(std::string, model_dir, "", "A model's folder, whose tokenizer.model is served.");
ABSL_FLAG(int64_t, max_prompt_bytes, llama::kDefaultMaxPromptBytes,
          "Longest text that is encoded, in bytes, at most 4000000 (what a message holds).");
ABSL_FLAG(bool, validate_only, false, "Load and check the file, print a line, and exit.");

namespace llama {
namespace {

absl::StatusOr<std::string> TokenizerPath() {
  const std::string file = absl::GetFlag(FLAGS_tokenizer);
  const std::string folder = absl::GetFlag(FLAGS_model_dir);
  if (file.empty() == folder.empty()) {
    return absl::InvalidArgumentError("--tokenizer=FILE or --model_dir=DIR: expected one of them");
  }
  return file.empty() ? absl::StrCat(folder, "/tokenizer.model") : file;
}

absl::Status Run() {
  ASSIGN_OR_RETURN(const std::string path, TokenizerPath());
  const int64_t max_prompt_bytes = absl::GetFlag(FLAGS_max_prompt_bytes);
  if (max_prompt_bytes < 1 || max_prompt_bytes > kMostMaxPromptBytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--max_prompt_bytes: expected 1 to ", kMostMaxPromptBytes, ", found ", max_prompt_bytes));
  }
  RETURN_IF_ERROR(SetUpLog(absl::GetFlag(FLAGS_log_level), absl::GetFlag(FLAGS_log_format)));
  LogGrpcMessages();
  if (absl::GetFlag(FLAGS_validate_only)) {
    ASSIGN_OR_RETURN(const auto tokenizer, Tokenizer::Load(path, max_prompt_bytes));
    std::printf("%s: valid, %zu tokens\n", path.c_str(), tokenizer->vocabulary().size());
    return std::fflush(stdout) == 0 ? absl::OkStatus()
                                    : absl::UnknownError("cannot write to standard output");
  }
  auto& termination = *new Termination();  // Its thread never ends.
  const auto registry = std::make_shared<prometheus::Registry>();
  const std::vector<CallObserver> observers = {LogCall,
                                               CountCalls({"llama.v1.TokenizerService"}, registry)};
  // After it, for credentials start threads, which must not get its signals.
  ASSIGN_OR_RETURN(const auto listening,
                   ServerAccessFromFlags(absl::GetFlag(FLAGS_listen), observers));
  ServingGate gate;
  TokenizerServiceImpl service(gate);
  std::unique_ptr<const Tokenizer> tokenizer;  // Outlives the server.
  ASSIGN_OR_RETURN(const auto metrics,
                   MetricsServer::Start(absl::GetFlag(FLAGS_metrics_listen),
                                        {std::make_shared<ProcessMetrics>("lnb-tokenizer"),
                                         std::make_shared<GateMetrics>(gate), registry}));
  ASSIGN_OR_RETURN(const std::unique_ptr<Server> server,
                   Server::Start({.listen = absl::GetFlag(FLAGS_listen),
                                  .drain_timeout = absl::GetFlag(FLAGS_drain_timeout),
                                  .access = listening,
                                  .callers_are_services = true,
                                  .call_observers = observers},
                                 {{"llama.v1.TokenizerService", &service}}, gate));
  ASSIGN_OR_RETURN(tokenizer, Tokenizer::Load(path, max_prompt_bytes));
  service.SetTokenizer(tokenizer.get());
  gate.SetServing();
  server->SetReady(true);
  LogInfo(absl::StrCat("serving ", path, " with ", tokenizer->vocabulary().size(), " tokens on ",
                       server->address()));
  const int signal = termination.Wait();
  LogInfo(absl::StrCat("signal ", signal, ": draining"));
  const bool all_over = server->Drain();
  LogInfo(all_over ? "drained" : "drained; calls that took too long were cancelled");
  return absl::OkStatus();
}

}  // namespace
}  // namespace llama

int main(int argc, char** argv) {
  llama::ParseProgramFlags(argc, argv,
                           "serves llama.v1.TokenizerService: text to token ids and back.");
  const absl::Status status = llama::Run();
  return status.ok() ? 0 : llama::ReportFailure("lnb-tokenizer", status);
}
