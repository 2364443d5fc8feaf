#include "services/model/served_model.h"

#include <algorithm>
#include <filesystem>
#include <span>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/read_file.h"
#include "common/sha256.h"
#include "common/status_macros.h"
#include "common/utf8.h"
#include "services/model/engine/sampler.h"
#include "services/model/engine/scheduler.h"
#include "services/model/kernels/kernel_choice.h"
#include "services/model/limits/machine_limits.h"
#include "services/model/limits/memory_sum.h"

namespace llama {
namespace {

constexpr int64_t kDefaultContextLength = 4096;  // What Llama 2 was trained for.
constexpr int64_t kMaxContextLength = 1 << 20;
constexpr int64_t kMaxThreads = 1024;
constexpr int64_t kMaxBatchTokens = 1 << 16;
constexpr int64_t kMinBatchLogits = 64;
constexpr int kReadPasses = 2;
constexpr int64_t kMaxTokenizerBytes = int64_t{64} << 20;

absl::Status CheckFlag(absl::string_view flag, int64_t value, int64_t least, int64_t most) {
  if (value >= least && value <= most) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--", flag, ": expected ", least, " to ", most, ", found ", value));
}

std::string NameOf(const ServedModelOptions& options) {
  if (!options.name.empty()) return options.name;
  const std::filesystem::path folder = std::filesystem::path(options.folder).lexically_normal();
  return (folder.has_filename() ? folder : folder.parent_path()).filename().string();
}

// Clients could not read what a message has as its name.
absl::Status CheckName(const ServedModelOptions& options) {
  if (IsValidUtf8(NameOf(options))) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--model_name, or the folder's name: expected UTF-8, found \"",
                   absl::CHexEscape(NameOf(options)), "\""));
}

// What the process itself, gRPC's buffers and the page tables take.
int64_t Reserve(int64_t memory_limit) { return std::min(memory_limit / 10, int64_t{512} << 20); }

// What other programs leave of the memory that this one may use.
int64_t FreeMemory(const ComputePlan& plan) {
  return std::min(MeasureAvailableMemory(), plan.memory_limit_bytes);
}

MemorySum SumOf(const ComputePlan& plan) {
  return {
      .weights = plan.weight_bytes, .kv_cache = plan.kv_cache_bytes, .scratch = plan.scratch_bytes};
}

CheckpointOptions LoadOptions(const ServedModelOptions& options, int64_t threads) {
  return {.weights = options.activations,
          .placement = options.placement,
          .verify = options.verify,
          .threads = static_cast<int>(threads),
          .progress = [](double) {}};
}

}  // namespace

absl::StatusOr<ComputePlan> PlanCompute(const ServedModelOptions& options) {
  RETURN_IF_ERROR(CheckName(options));
  RETURN_IF_ERROR(CheckFlag("threads", options.threads, 0, kMaxThreads));
  RETURN_IF_ERROR(CheckFlag("context_length", options.context_length, 0, kMaxContextLength));
  RETURN_IF_ERROR(CheckFlag("max_batch_tokens", options.max_batch_tokens, 1, kMaxBatchTokens));
  RETURN_IF_ERROR(CheckFlag("max_running", options.engine.max_running, 1, kMaxBatchTokens));
  RETURN_IF_ERROR(CheckFlag("max_waiting", options.engine.max_waiting, 1, int64_t{1} << 40));
  RETURN_IF_ERROR(CheckFlag("max_waiting_prefill_tokens", options.engine.max_waiting_prefill_tokens,
                            1, int64_t{1} << 40));
  RETURN_IF_ERROR(CheckFlag("kv_cache_bytes", options.kv_cache_bytes, 0, int64_t{1} << 50));
  ComputePlan plan;
  ASSIGN_OR_RETURN(plan.kernels, ChooseKernels(options.instruction_set));
  plan.cpus = MeasureCpuBudget();
  plan.threads = options.threads == 0 ? plan.cpus.threads : options.threads;
  plan.memory_limit_bytes =
      options.memory_limit_bytes > 0 ? options.memory_limit_bytes : MeasureMemoryLimit();
  ASSIGN_OR_RETURN(const CheckpointSize size,
                   MeasureCheckpoint(options.folder, LoadOptions(options, 1)));
  plan.weight_bytes = size.weight_bytes;
  plan.transformer = {
      .activations = options.activations,
      .context_length = options.context_length == 0
                            ? size.config.max_seq_len.value_or(kDefaultContextLength)
                            : options.context_length,
      .max_batch_tokens = std::max(options.max_batch_tokens, options.engine.max_running),
      .max_batch_logits = std::max(kMinBatchLogits, options.engine.max_running)};
  plan.scratch_bytes =
      Transformer::ScratchBytes(size.config, *plan.kernels, plan.transformer, plan.threads) +
      plan.transformer.max_batch_logits * size.config.vocab_size *
          static_cast<int64_t>(sizeof(float)) +
      plan.threads * Sampler::ScratchBytes(size.config.vocab_size);

  const int64_t block_bytes = KvCache::BlockBytes(size.config, options.activations);
  const int64_t one_sequence = Scheduler::BlocksFor(plan.transformer.context_length);
  if (options.kv_cache_bytes == 0) {
    // Enough that every running sequence may fill its context, if memory allows that others leave;
    // at least one.
    const int64_t left = FreeMemory(plan) - Reserve(plan.memory_limit_bytes) - plan.weight_bytes -
                         plan.scratch_bytes;
    plan.kv_blocks =
        std::clamp(left / block_bytes, one_sequence, one_sequence * options.engine.max_running);
  } else {
    plan.kv_blocks = options.kv_cache_bytes / block_bytes;
    if (plan.kv_blocks < 1) {
      return absl::InvalidArgumentError(absl::StrCat("--kv_cache_bytes: expected at least ",
                                                     block_bytes, " (one block), found ",
                                                     options.kv_cache_bytes));
    }
  }
  plan.kv_cache_bytes = plan.kv_blocks * block_bytes;
  if (SumOf(plan).total() > plan.memory_limit_bytes) {
    return absl::ResourceExhaustedError(absl::StrCat(
        options.folder, " does not fit: ", Describe(SumOf(plan), plan.memory_limit_bytes),
        ". A smaller --context_length or --kv_cache_bytes takes less."));
  }
  return plan;
}

std::string Describe(const ComputePlan& plan) {
  return absl::StrCat(plan.threads, plan.threads == 1 ? " thread, " : " threads, ",
                      plan.kernels->name, ", ", NameOf(plan.transformer.activations),
                      " activations; ", Describe(SumOf(plan), plan.memory_limit_bytes));
}

std::string DescribeSpeed(const ComputePlan& plan) {
  const std::string quota = plan.cpus.cgroup_cpus.has_value()
                                ? absl::StrFormat("a cgroup quota of %.2f", *plan.cpus.cgroup_cpus)
                                : "no cgroup quota";
  return absl::StrFormat(
      "%d threads on %d cores (%d CPUs online, %d allowed, %s); weights %s; memory is read at %.1f "
      "GB/s, which allows %.1f tokens/s for one reply",
      plan.threads, plan.cpus.cores.size(), plan.cpus.online_cpus, plan.cpus.affinity_cpus, quota,
      plan.resident ? "copied into huge pages" : "used where they are mapped",
      plan.memory_read_bytes_per_second / 1e9, plan.decode_tokens_per_second_limit());
}

absl::StatusOr<std::unique_ptr<ServedModel>> ServedModel::Load(
    const ServedModelOptions& options, const ComputePlan& plan,
    std::function<void(double)> progress) {
  auto model = std::unique_ptr<ServedModel>(new ServedModel());
  model->plan_ = plan;
  model->engine_options_ = options.engine;
  CheckpointOptions load_options = LoadOptions(options, plan.threads);
  load_options.progress = std::move(progress);
  load_options.spare_bytes = FreeMemory(plan) - plan.kv_cache_bytes - plan.scratch_bytes;
  ASSIGN_OR_RETURN(model->checkpoint_, Checkpoint::Load(options.folder, load_options));
  model->plan_.resident = model->checkpoint_->resident();
  model->name_ = NameOf(options);
  if (const auto tokenizer =
          ReadFile(absl::StrCat(options.folder, "/tokenizer.model"), kMaxTokenizerBytes);
      tokenizer.ok()) {
    model->tokenizer_digest_ = Sha256Hex(*tokenizer);
  }
  const ModelConfig& config = model->checkpoint_->config();
  const Matrix& embeddings = model->checkpoint_->weights().tok_embeddings;
  // All but the embeddings, of which a token reads one row.
  model->plan_.bytes_per_decode_step =
      model->checkpoint_->weight_bytes() -
      static_cast<int64_t>((embeddings.rows - 1) * embeddings.cols * SizeOf(embeddings.type));
  model->team_ = std::make_unique<ThreadTeam>(static_cast<size_t>(plan.threads));
  // The largest matrix that each step reads stands for the memory.
  const Matrix& output = model->checkpoint_->weights().output;
  model->plan_.memory_read_bytes_per_second =
      MeasureReadSpeed(*plan.kernels, *model->team_,
                       std::span(static_cast<const std::byte*>(output.data),
                                 output.rows * output.cols * SizeOf(output.type)),
                       kReadPasses);
  model->transformer_ = std::make_unique<Transformer>(
      config, model->checkpoint_->weights(), *plan.kernels, *model->team_, plan.transformer);
  ASSIGN_OR_RETURN(model->cache_,
                   KvCache::Create(config, plan.transformer.activations, plan.kv_blocks));
  model->engine_ =
      std::make_unique<Engine>(config, *model->transformer_, *model->cache_, options.engine);
  return model;
}

}  // namespace llama
