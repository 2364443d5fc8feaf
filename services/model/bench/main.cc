#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/program.h"
#include "common/status_macros.h"
#include "services/model/bench/bench.h"
#include "services/model/bench/bench_report.h"
#include "services/model/kernels/kernel_choice.h"
#include "services/model/threads/cpu_budget.h"

ABSL_FLAG(std::string, model_dir, "",
          "Folder of the checkpoint: params.json, consolidated.00.pth (and .01 …).");
ABSL_FLAG(int64_t, threads, 0, "Threads that compute; 0: as many as the process may use.");
ABSL_FLAG(
    std::string, instruction_set, "",
    "Kernels: scalar, avx2, avx512_bf16 or amx_bf16; empty: the fastest that the processor has.");
ABSL_FLAG(std::string, activations, "bf16",
          "Type of the activations and the KV cache: bf16, or f32, the slower reference.");
ABSL_FLAG(
    std::string, weights, "auto",
    "Where bf16 weights are used: mapped, where they lie in the file; resident, copied into huge "
    "pages; or auto, copied only if the system maps them in small pages and memory allows.");
ABSL_FLAG(std::vector<std::string>, prompt, {"512"}, "Tokens of the prompts, a list.");
ABSL_FLAG(int64_t, generate, 64, "Tokens to decode in each sequence and reply, in each run.");
ABSL_FLAG(std::vector<std::string>, batch, (std::vector<std::string>{"1", "4", "16"}),
          "Sequences that are decoded together, a list.");
ABSL_FLAG(std::vector<std::string>, context, {"128"},
          "Tokens before those that are decoded, a list.");
ABSL_FLAG(
    std::vector<std::string>, streams, {},
    "Replies that the engine generates at the same time, a list; empty: not measured. Each is "
    "of --generate tokens, drawn as lnb-load has them drawn, after a prompt of 16.");
ABSL_FLAG(int64_t, runs, 5, "Runs of each test; the median is reported.");
ABSL_FLAG(bool, json, false, "A JSON object a line instead of a table.");

namespace llama {
namespace {

constexpr int64_t kMost = 1 << 20;

absl::StatusOr<int64_t> InRange(absl::string_view flag, int64_t value, int64_t least,
                                int64_t most) {
  if (value >= least && value <= most) return value;
  return absl::InvalidArgumentError(
      absl::StrCat("--", flag, ": expected ", least, " to ", most, ", found ", value));
}

absl::StatusOr<std::vector<int64_t>> Numbers(absl::string_view flag,
                                             const std::vector<std::string>& list, int64_t least) {
  std::vector<int64_t> numbers;
  for (const std::string& text : list) {
    int64_t number = 0;
    if (!absl::SimpleAtoi(text, &number)) {
      return absl::InvalidArgumentError(
          absl::StrCat("--", flag, ": expected a list of numbers, found \"", text, "\""));
    }
    ASSIGN_OR_RETURN(number, InRange(flag, number, least, kMost));
    numbers.push_back(number);
  }
  return numbers;
}

absl::StatusOr<BenchOptions> OptionsFromFlags() {
  BenchOptions options = {.folder = absl::GetFlag(FLAGS_model_dir)};
  if (options.folder.empty()) return absl::InvalidArgumentError("--model_dir: expected a folder");
  ASSIGN_OR_RETURN(options.kernels, ChooseKernels(absl::GetFlag(FLAGS_instruction_set)));
  const std::string activations = absl::GetFlag(FLAGS_activations);
  if (activations != "bf16" && activations != "f32") {
    return absl::InvalidArgumentError(
        absl::StrCat("--activations: expected bf16 or f32, found ", activations));
  }
  options.activations = activations == "bf16" ? DataType::kBf16 : DataType::kF32;
  const std::string weights = absl::GetFlag(FLAGS_weights);
  const auto placement = ParseWeightPlacement(weights);
  if (!placement.has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--weights: expected auto, mapped or resident, found ", weights));
  }
  options.placement = *placement;
  ASSIGN_OR_RETURN(options.threads, InRange("threads", absl::GetFlag(FLAGS_threads), 0, 1024));
  if (options.threads == 0) options.threads = MeasureCpuBudget().threads;
  ASSIGN_OR_RETURN(options.prompts, Numbers("prompt", absl::GetFlag(FLAGS_prompt), 1));
  ASSIGN_OR_RETURN(options.batches, Numbers("batch", absl::GetFlag(FLAGS_batch), 1));
  ASSIGN_OR_RETURN(options.contexts, Numbers("context", absl::GetFlag(FLAGS_context), 0));
  ASSIGN_OR_RETURN(options.streams, Numbers("streams", absl::GetFlag(FLAGS_streams), 1));
  ASSIGN_OR_RETURN(options.generate, InRange("generate", absl::GetFlag(FLAGS_generate), 1, kMost));
  ASSIGN_OR_RETURN(options.runs, InRange("runs", absl::GetFlag(FLAGS_runs), 1, 1000));
  return options;
}

void Print(const std::string& text) {
  // A failure stays in ferror(), which Run() looks at.
  (void)std::fputs(text.c_str(), stdout);
  (void)std::fflush(stdout);
}

absl::Status Run() {
  ASSIGN_OR_RETURN(const BenchOptions options, OptionsFromFlags());
  const bool json = absl::GetFlag(FLAGS_json);
  if (!json) {
    Print(absl::StrCat(options.folder, ": ", options.threads, " threads, ", options.kernels->name,
                       ", ", NameOf(options.activations), " activations; medians of ", options.runs,
                       " runs\n"));
  }
  RETURN_IF_ERROR(RunBench(options, json ? JsonReport(Print) : TableReport(Print)));
  return std::ferror(stdout) == 0 ? absl::OkStatus()
                                  : absl::UnknownError("cannot write to standard output");
}

}  // namespace
}  // namespace llama

int main(int argc, char** argv) {
  llama::ParseProgramFlags(argc, argv,
                           "measures the speed of a Llama 2 checkpoint in this process, next to "
                           "what the machine's memory and arithmetic allow.");
  const absl::Status status = llama::Run();
  return status.ok() ? 0 : llama::ReportFailure("lnb-bench", status);
}
