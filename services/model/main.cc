#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "common/log.h"
#include "common/mapping_faults.h"
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
#include "services/model/model_metrics.h"
#include "services/model/model_service.h"
#include "services/model/served_model.h"

ABSL_FLAG(std::string, listen, "127.0.0.1:50052", "Address to serve on, HOST:PORT.");
ABSL_FLAG(std::string, model_dir, "",
          "Folder of the checkpoint: params.json, consolidated.00.pth (and .01 …).");
ABSL_FLAG(std::string, model_name, "", "Name to answer under; empty: the folder's.");
ABSL_FLAG(int64_t, threads, 0, "Threads that compute; 0: as many as the process may use.");
ABSL_FLAG(
    std::string, instruction_set, "",
    "Kernels: scalar, avx2, avx512_bf16 or amx_bf16; empty: the fastest that the processor has.");
ABSL_FLAG(std::string, activations, "bf16",
          "Type of the activations and the KV cache: bf16, or f32, the slower reference.");
ABSL_FLAG(int64_t, context_length, 0,
          "Longest prompt and reply together, in tokens; 0: max_seq_len of params.json, else 4096, "
          "as Llama 2 was trained.");
ABSL_FLAG(int64_t, kv_cache_bytes, 0,
          "Bytes of memory for keys and values; 0: what memory leaves, up to max_running full "
          "contexts.");
ABSL_FLAG(int64_t, max_running, 32, "Most sequences that are computed at the same time.");
ABSL_FLAG(int64_t, max_waiting, 64, "Most requests that wait; further ones get QUEUE_FULL.");
ABSL_FLAG(int64_t, max_waiting_prefill_tokens, 262144,
          "Most prompt tokens not yet computed, over all requests; further ones get QUEUE_FULL.");
ABSL_FLAG(int64_t, max_batch_tokens, 512, "Most tokens that one step computes.");
ABSL_FLAG(std::string, verify, "full",
          "What is checked at loading: full (CRC-32 of everything, finite weights) or structure.");
ABSL_FLAG(std::string, weights, "auto",
          "Where bf16 weights are used: mapped, where they lie in the file, which loads fast and "
          "shares memory with the page cache; resident, copied into huge pages; or auto, copied "
          "only if the system maps them in small pages, which are slower, and memory allows.");
ABSL_FLAG(bool, validate_only, false, "Load and check the model, print a line, and exit.");

namespace llama {
namespace {

absl::StatusOr<ServedModelOptions> OptionsFromFlags() {
  ServedModelOptions options = {
      .folder = absl::GetFlag(FLAGS_model_dir),
      .name = absl::GetFlag(FLAGS_model_name),
      .instruction_set = absl::GetFlag(FLAGS_instruction_set),
      .threads = absl::GetFlag(FLAGS_threads),
      .context_length = absl::GetFlag(FLAGS_context_length),
      .kv_cache_bytes = absl::GetFlag(FLAGS_kv_cache_bytes),
      .max_batch_tokens = absl::GetFlag(FLAGS_max_batch_tokens),
      .engine = {.max_running = absl::GetFlag(FLAGS_max_running),
                 .max_waiting = absl::GetFlag(FLAGS_max_waiting),
                 .max_waiting_prefill_tokens = absl::GetFlag(FLAGS_max_waiting_prefill_tokens)}};
  if (options.folder.empty()) return absl::InvalidArgumentError("--model_dir: expected a folder");
  const std::string activations = absl::GetFlag(FLAGS_activations);
  if (activations != "bf16" && activations != "f32") {
    return absl::InvalidArgumentError(
        absl::StrCat("--activations: expected bf16 or f32, found ", activations));
  }
  options.activations = activations == "bf16" ? DataType::kBf16 : DataType::kF32;
  const std::string verify = absl::GetFlag(FLAGS_verify);
  if (verify != "full" && verify != "structure") {
    return absl::InvalidArgumentError(
        absl::StrCat("--verify: expected full or structure, found ", verify));
  }
  options.verify = verify == "full";
  const std::string weights = absl::GetFlag(FLAGS_weights);
  const auto placement = ParseWeightPlacement(weights);
  if (!placement.has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--weights: expected auto, mapped or resident, found ", weights));
  }
  options.placement = *placement;
  return options;
}

absl::Status Validate(ServedModelOptions options, const ComputePlan& plan) {
  options.placement = WeightPlacement::kMapped;
  ASSIGN_OR_RETURN(const auto model, ServedModel::Load(options, plan, [](double) {}));
  std::printf("%s: valid, %lld parameters; %s\n", options.folder.c_str(),
              static_cast<long long>(model->checkpoint().parameter_count()),
              Describe(plan).c_str());
  return std::fflush(stdout) == 0 ? absl::OkStatus()
                                  : absl::UnknownError("cannot write to standard output");
}

absl::Status Serve(ServedModelOptions options, const ComputePlan& plan, Termination& termination) {
  const auto registry = std::make_shared<prometheus::Registry>();
  const std::vector<CallObserver> observers = {LogCall,
                                               CountCalls({"llama.v1.ModelService"}, registry)};
  ASSIGN_OR_RETURN(const auto listening,
                   ServerAccessFromFlags(absl::GetFlag(FLAGS_listen), observers));
  const auto model_metrics = std::make_shared<ModelMetrics>(*registry);
  options.engine.on_step = [&](const StepRecord& step, const StepWaits& waits) {
    model_metrics->ObserveStep(step, waits);
  };
  ServingGate gate;
  ModelServiceImpl service(gate);
  std::unique_ptr<ServedModel> model;  // Outlives the servers.
  ASSIGN_OR_RETURN(
      const auto metrics,
      MetricsServer::Start(absl::GetFlag(FLAGS_metrics_listen),
                           {std::make_shared<ProcessMetrics>("lnb-model"),
                            std::make_shared<GateMetrics>(gate), registry, model_metrics}));
  ASSIGN_OR_RETURN(const std::unique_ptr<Server> server,
                   Server::Start({.listen = absl::GetFlag(FLAGS_listen),
                                  .drain_timeout = absl::GetFlag(FLAGS_drain_timeout),
                                  .access = listening,
                                  .callers_are_services = true,
                                  .call_observers = observers},
                                 {{"llama.v1.ModelService", &service}}, gate));
  LogInfo(absl::StrCat("loading ", options.folder, ": ", Describe(plan)));
  int64_t reported = 0;
  absl::StatusOr<std::unique_ptr<ServedModel>> loaded =
      ServedModel::Load(options, plan, [&](double part) {
        const auto percent = static_cast<int64_t>(part * 100);
        gate.SetLoading(percent);
        if (percent < reported + 10) return;
        reported = percent;
        LogInfo(absl::StrCat("loaded ", percent, " %"));
      });
  RETURN_IF_ERROR(loaded.status());
  model = *std::move(loaded);
  service.SetModel(model.get());
  model_metrics->SetModel(model.get());
  gate.SetServing();
  server->SetReady(true);
  LogInfo(DescribeSpeed(model->plan()));
  LogInfo(absl::StrCat("serving ", model->name(), " on ", server->address()));
  const int signal = termination.Wait();
  LogInfo(absl::StrCat("signal ", signal, ": draining"));
  const bool all_over = server->Drain();
  LogInfo(all_over ? "drained" : "drained; calls that took too long were cancelled");
  return absl::OkStatus();
}

absl::Status Run() {
  ASSIGN_OR_RETURN(const ServedModelOptions options, OptionsFromFlags());
  RETURN_IF_ERROR(SetUpLog(absl::GetFlag(FLAGS_log_level), absl::GetFlag(FLAGS_log_format)));
  LogGrpcMessages();
  ASSIGN_OR_RETURN(const ComputePlan plan, PlanCompute(options));
  if (options.threads > plan.cpus.threads) {
    LogWarning(absl::StrCat("--threads=", options.threads, " is more than the ", plan.cpus.threads,
                            " that the process may use"));
  }
  if (absl::GetFlag(FLAGS_validate_only)) return Validate(options, plan);
  auto& termination = *new Termination();  // Its thread never ends.
  return Serve(options, plan, termination);
}

}  // namespace
}  // namespace llama

int main(int argc, char** argv) {
  llama::ParseProgramFlags(
      argc, argv, "serves llama.v1.ModelService: a Llama 2 checkpoint, token ids in and out.");
  llama::ExitOnMappingFaults("lnb-model");
  const absl::Status status = llama::Run();
  return status.ok() ? 0 : llama::ReportFailure("lnb-model", status);
}
