#include <cstdint>
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
#include "common/rpc/channel.h"
#include "common/rpc/client_security_flags.h"
#include "common/rpc/gate_metrics.h"
#include "common/rpc/rpc_metrics.h"
#include "common/rpc/server.h"
#include "common/rpc/server_security_flags.h"
#include "common/server_flags.h"
#include "common/status_macros.h"
#include "common/termination.h"
#include "prometheus/registry.h"
#include "services/gateway/backend_monitor.h"
#include "services/gateway/call_admission.h"
#include "services/gateway/gateway_service.h"
#include "services/gateway/model_addresses.h"
#include "services/gateway/model_replicas.h"
#include "services/gateway/stub_pool.h"

ABSL_FLAG(std::string, listen, "127.0.0.1:50050", "Address to serve on, HOST:PORT.");
ABSL_FLAG(std::string, tokenizer, "127.0.0.1:50051",
          "The tokenizer service: any gRPC target; dns:///NAME:PORT balances over replicas.");
ABSL_FLAG(std::string, model, "127.0.0.1:50052",
          "The replicas of the model service: gRPC targets separated by commas; dns:///NAME:PORT "
          "is one for each address of the name. Calls with the same beginning go to the same one.");
ABSL_FLAG(int64_t, max_calls, 1000,
          "Most Generate calls under way, until their clients have all; more are refused.");

namespace llama {
namespace {

constexpr int64_t kMostCalls = int64_t{1} << 40;

absl::Status Run() {
  if (absl::GetFlag(FLAGS_max_calls) < 1 || absl::GetFlag(FLAGS_max_calls) > kMostCalls) {
    return absl::InvalidArgumentError(absl::StrCat("--max_calls: expected 1 to ", kMostCalls,
                                                   ", found ", absl::GetFlag(FLAGS_max_calls)));
  }
  RETURN_IF_ERROR(SetUpLog(absl::GetFlag(FLAGS_log_level), absl::GetFlag(FLAGS_log_format)));
  LogGrpcMessages();
  auto& termination = *new Termination();  // Its thread never ends.
  const auto registry = std::make_shared<prometheus::Registry>();
  const std::vector<CallObserver> observers = {LogCall,
                                               CountCalls({"llama.v1.GatewayService"}, registry)};
  // After it, for credentials start threads, which must not get its signals.
  ASSIGN_OR_RETURN(const auto listening,
                   ServerAccessFromFlags(absl::GetFlag(FLAGS_listen), observers));
  ASSIGN_OR_RETURN(const auto calling, ChannelCredentialsFromFlags());
  StubPool<v1::TokenizerService> tokenizers(
      absl::GetFlag(FLAGS_tokenizer), calling,
      {.retried_service = "llama.v1.TokenizerService", .checks_health = true});
  // The monitor asks those that are not healthy, too, for they know why.
  const auto monitored = v1::TokenizerService::NewStub(CreateChannel(
      absl::GetFlag(FLAGS_tokenizer), calling, {.retried_service = "llama.v1.TokenizerService"}));
  ASSIGN_OR_RETURN(ModelAddresses addresses, ModelAddresses::Create(absl::GetFlag(FLAGS_model)));
  ModelReplicas models(std::move(addresses), calling, LogInfo);
  ServingGate gate;
  CallAdmission admission({.max_calls = absl::GetFlag(FLAGS_max_calls)});
  ASSIGN_OR_RETURN(const auto metrics,
                   MetricsServer::Start(absl::GetFlag(FLAGS_metrics_listen),
                                        {std::make_shared<ProcessMetrics>("lnb-gateway"),
                                         std::make_shared<GateMetrics>(gate), registry}));
  std::unique_ptr<Server> server;
  bool is_ready = false;
  std::string said;
  // The monitor tells the server, which starts after it: its first word waits until then.
  Mutex mutex;
  std::unique_ptr<BackendMonitor> monitor;
  {
    MutexLock lock(&mutex);
    monitor = std::make_unique<BackendMonitor>(*monitored, models, gate, [&](bool ready) {
      MutexLock changed(&mutex);
      if (server != nullptr) server->SetReady(ready);
      const std::string state = ready ? "ready: tokenizer and model serve and fit each other"
                                      : absl::StrCat("not ready: ", gate.Check().message());
      if (state != said) LogInfo(state);
      said = state;
      is_ready = ready;
    });
  }
  GatewayServiceImpl service(tokenizers, models, *monitor, gate, admission);
  ASSIGN_OR_RETURN(std::unique_ptr<Server> started,
                   Server::Start({.listen = absl::GetFlag(FLAGS_listen),
                                  .drain_timeout = absl::GetFlag(FLAGS_drain_timeout),
                                  .access = listening,
                                  .call_observers = observers},
                                 {{"llama.v1.GatewayService", &service}}, gate));
  {
    MutexLock lock(&mutex);
    server = std::move(started);
    server->SetReady(is_ready);
  }
  LogInfo(absl::StrCat("listening on ", server->address(), "; tokenizer ",
                       absl::GetFlag(FLAGS_tokenizer), ", model ", absl::GetFlag(FLAGS_model)));
  const int signal = termination.Wait();
  LogInfo(absl::StrCat("signal ", signal, ": draining"));
  const bool all_over = server->Drain();
  monitor = nullptr;
  LogInfo(all_over ? "drained" : "drained; calls that took too long were cancelled");
  return absl::OkStatus();
}

}  // namespace
}  // namespace llama

int main(int argc, char** argv) {
  llama::ParseProgramFlags(
      argc, argv, "serves llama.v1.GatewayService: prompts as text in, replies as text out.");
  const absl::Status status = llama::Run();
  return status.ok() ? 0 : llama::ReportFailure("lnb-gateway", status);
}
