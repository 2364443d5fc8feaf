#include "services/model/bench/bench.h"

#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <numeric>
#include <optional>
#include <span>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status_macros.h"
#include "services/model/bench/loading.h"
#include "services/model/bench/replies.h"
#include "services/model/limits/memory_sum.h"
#include "services/model/threads/cpu_budget.h"
#include "services/model/threads/thread_team.h"
#include "services/model/transformer/kv_cache.h"
#include "services/model/transformer/transformer.h"

namespace llama {
namespace {

constexpr int kReadPasses = 4;

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double Median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// Memory for the measurement of the read speed, in huge pages where the system gives them.
class ReadMemory {
 public:
  explicit ReadMemory(int64_t bytes)
      : bytes_(static_cast<size_t>(bytes)),
        memory_(mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {
    if (memory_ == MAP_FAILED) return;
    madvise(memory_, bytes_, MADV_HUGEPAGE);
    std::fill_n(static_cast<std::byte*>(memory_), bytes_, std::byte{0x3C});
  }
  ~ReadMemory() {
    if (memory_ != MAP_FAILED) munmap(memory_, bytes_);
  }
  ReadMemory(const ReadMemory&) = delete;
  ReadMemory& operator=(const ReadMemory&) = delete;

  std::span<const std::byte> bytes() const {
    if (memory_ == MAP_FAILED) return {};
    return {static_cast<const std::byte*>(memory_), bytes_};
  }

 private:
  const size_t bytes_;
  void* const memory_;
};

MachineLimits MeasureLimits(const BenchOptions& options, ThreadTeam& team,
                            const ReadMemory& memory) {
  return {.read_bytes_per_second =
              MeasureReadSpeed(*options.kernels, team, memory.bytes(), kReadPasses),
          .flops_per_second = MeasureFlops(*options.kernels, team, options.activations)};
}

int64_t MatrixElements(const Matrix& matrix) {
  return static_cast<int64_t>(matrix.rows * matrix.cols);
}
int64_t MatrixBytes(const Matrix& matrix) {
  return MatrixElements(matrix) * static_cast<int64_t>(SizeOf(matrix.type));
}

// What a forward pass reads and computes.
struct Work {
  int64_t layer_weights = 0;  // Of the layers' matrices.
  int64_t layer_bytes = 0;
  int64_t output_weights = 0;
  int64_t output_bytes = 0;
  int64_t kv_bytes = 0;         // Of one position, over all layers.
  int64_t attention_flops = 0;  // Of one token, per position that it sees.
};

Work MeasureWork(const Checkpoint& checkpoint, DataType activations) {
  const ModelConfig& config = checkpoint.config();
  const ModelWeights& weights = checkpoint.weights();
  Work work = {.output_weights = MatrixElements(weights.output),
               .output_bytes = MatrixBytes(weights.output),
               .kv_bytes = KvCache::BlockBytes(config, activations) / kKvBlockTokens,
               .attention_flops = 4 * config.n_layers * config.n_heads * config.head_dim};
  for (const LayerWeights& layer : weights.layers) {
    for (const Matrix* const matrix :
         {&layer.wq, &layer.wk, &layer.wv, &layer.wo, &layer.w1, &layer.w2, &layer.w3}) {
      work.layer_weights += MatrixElements(*matrix);
      work.layer_bytes += MatrixBytes(*matrix);
    }
  }
  return work;
}

class Bench {
 public:
  Bench(const BenchOptions& options, const Checkpoint& checkpoint, ThreadTeam& team,
        const ReadMemory& read_memory, Transformer& transformer, KvCache& cache)
      : options_(options),
        config_(checkpoint.config()),
        vocab_size_(static_cast<uint32_t>(config_.vocab_size)),
        work_(MeasureWork(checkpoint, options.activations)),
        team_(team),
        read_memory_(read_memory),
        transformer_(transformer),
        cache_(cache),
        logits_(static_cast<size_t>(transformer.options().max_batch_logits) * vocab_size_) {}

  PrefillResult Prefill(int64_t tokens) {
    std::vector<KvBlock> blocks(static_cast<size_t>(tokens / kKvBlockTokens + 1));
    std::iota(blocks.begin(), blocks.end(), KvBlock{0});
    Touch(blocks.size());
    std::vector<BatchToken> batch;
    const double flops = 2.0 * static_cast<double>(work_.layer_weights * tokens) +
                         2.0 * static_cast<double>(work_.output_weights);
    // Each token looks at itself and at those before.
    const int64_t pairs = tokens * (tokens + 1) / 2;
    const double attention_flops =
        static_cast<double>(work_.attention_flops) * static_cast<double>(pairs);
    std::vector<double> speeds, shares;
    Repeat(
        [&] {
          for (int64_t begin = 0; begin < tokens; begin += options_.max_batch_tokens) {
            const int64_t end = std::min(tokens, begin + options_.max_batch_tokens);
            batch.clear();
            for (int64_t p = begin; p < end; ++p) {
              batch.push_back(Token(p, blocks, p == tokens - 1));
            }
            transformer_.Forward(batch, cache_, logits_);
          }
        },
        [&](double seconds, const MachineLimits& limits) {
          speeds.push_back(static_cast<double>(tokens) / seconds);
          shares.push_back(flops / seconds / limits.flops_per_second);
        });
    const double share = Median(shares);
    return {.tokens = tokens,
            .tokens_per_second = Median(speeds),
            .ratio = share,
            .ratio_with_attention = share * (flops + attention_flops) / flops};
  }

  // Every sequence has keys and values of its own, so that their bytes are read from memory.
  DecodeResult Decode(int64_t sequences, int64_t context) {
    const auto blocks_each =
        static_cast<size_t>((context + options_.generate) / kKvBlockTokens + 1);
    std::vector<KvBlock> blocks(blocks_each * static_cast<size_t>(sequences));
    std::iota(blocks.begin(), blocks.end(), KvBlock{0});
    Touch(blocks.size());
    std::vector<BatchToken> batch;
    const double steps = static_cast<double>(options_.generate);
    const double positions = static_cast<double>(context) + (steps + 1) / 2;  // Seen, on average.
    const double bytes = static_cast<double>(work_.layer_bytes + work_.output_bytes) +
                         static_cast<double>(work_.kv_bytes * sequences) * positions;
    const double flops =
        2.0 * static_cast<double>((work_.layer_weights + work_.output_weights) * sequences);
    std::vector<double> speeds, memory_shares, arithmetic_shares;
    Repeat(
        [&] {
          for (int64_t step = 0; step < options_.generate; ++step) {
            batch.clear();
            for (int64_t s = 0; s < sequences; ++s) {
              const std::span<const KvBlock> own =
                  std::span(blocks).subspan(static_cast<size_t>(s) * blocks_each, blocks_each);
              batch.push_back(Token(context + step, own, true));
            }
            transformer_.Forward(batch, cache_, logits_);
          }
        },
        [&](double seconds, const MachineLimits& limits) {
          speeds.push_back(steps * static_cast<double>(sequences) / seconds);
          memory_shares.push_back(bytes * steps / seconds / limits.read_bytes_per_second);
          arithmetic_shares.push_back(flops * steps / seconds / limits.flops_per_second);
        });
    DecodeResult result = {.batch = sequences,
                           .context = context,
                           .tokens_per_second = Median(speeds),
                           .memory_ratio = Median(memory_shares),
                           .arithmetic_ratio = Median(arithmetic_shares)};
    result.ratio = std::max(result.memory_ratio, result.arithmetic_ratio);
    return result;
  }

  absl::StatusOr<RepliesResult> Replies(int64_t streams) {
    Touch(static_cast<size_t>(ReplyBlocks(options_.generate) * streams));
    Engine engine(config_, transformer_, cache_, ReplyEngineOptions(streams));
    std::vector<double> speeds;
    for (int64_t i = 0; i <= options_.runs; ++i) {
      const ReplyPlan plan = {
          .streams = streams, .tokens = options_.generate, .seed = static_cast<uint64_t>(i)};
      const double begin = Now();
      RETURN_IF_ERROR(GenerateReplies(engine, vocab_size_, plan));
      if (i == 0) continue;  // Not measured.
      speeds.push_back(static_cast<double>(streams * options_.generate) / (Now() - begin));
    }
    return RepliesResult{.streams = streams, .tokens_per_second = Median(speeds)};
  }

  int64_t kv_blocks_used() const { return static_cast<int64_t>(touched_blocks_); }

 private:
  // Any tokens will do, as long as their embeddings differ.
  BatchToken Token(int64_t position, std::span<const KvBlock> blocks, bool wants_logits) const {
    const auto p = static_cast<uint32_t>(position);
    return {.token = (p * 2654435761U >> 7) % vocab_size_,
            .position = p,
            .blocks = blocks,
            .wants_logits = wants_logits};
  }

  // Writes zeros where nothing has been written: pages that were never written would all be one.
  void Touch(size_t blocks) {
    const int64_t head_bytes =
        work_.kv_bytes * kKvBlockTokens / (2 * config_.n_layers * config_.n_kv_heads);
    for (; touched_blocks_ < blocks; ++touched_blocks_) {
      const auto block = static_cast<KvBlock>(touched_blocks_);
      for (int64_t layer = 0; layer < config_.n_layers; ++layer) {
        for (int64_t head = 0; head < config_.n_kv_heads; ++head) {
          for (void* const part :
               {cache_.Keys(block, layer, head), cache_.Values(block, layer, head)}) {
            std::fill_n(static_cast<std::byte*>(part), head_bytes, std::byte{0});
          }
        }
      }
    }
  }

  // Calls run() once unmeasured, then `runs` times between measurements of the limits, whose mean
  // take(seconds, limits) is told.
  template <typename Run, typename Take>
  void Repeat(const Run& run, const Take& take) {
    run();
    MachineLimits before = MeasureLimits(options_, team_, read_memory_);
    for (int64_t i = 0; i < options_.runs; ++i) {
      const double begin = Now();
      run();
      const double seconds = Now() - begin;
      const MachineLimits after = MeasureLimits(options_, team_, read_memory_);
      take(seconds,
           MachineLimits{
               .read_bytes_per_second =
                   (before.read_bytes_per_second + after.read_bytes_per_second) / 2,
               .flops_per_second = (before.flops_per_second + after.flops_per_second) / 2});
      before = after;
    }
  }

  const BenchOptions& options_;
  const ModelConfig& config_;
  const uint32_t vocab_size_;
  const Work work_;
  ThreadTeam& team_;
  const ReadMemory& read_memory_;
  Transformer& transformer_;
  KvCache& cache_;
  std::vector<float> logits_;
  size_t touched_blocks_ = 0;
};

absl::StatusOr<LoadResult> MeasureLoad(const BenchOptions& options,
                                       std::unique_ptr<Checkpoint>& checkpoint) {
  const int threads = static_cast<int>(options.threads);
  RETURN_IF_ERROR(TouchFiles(options.folder, threads).status());  // Into the page cache.
  std::vector<double> seconds, shares;
  LoadResult result;
  ASSIGN_OR_RETURN(TouchedFiles before, TouchFiles(options.folder, threads));
  for (int64_t i = 0; i < options.runs; ++i) {
    checkpoint.reset();
    const double begin = Now();
    ASSIGN_OR_RETURN(checkpoint,
                     Checkpoint::Load(options.folder, {.weights = options.activations,
                                                       .placement = options.placement,
                                                       .spare_bytes = MeasureAvailableMemory(),
                                                       .verify = true,
                                                       .threads = threads}));
    seconds.push_back(Now() - begin);
    ASSIGN_OR_RETURN(const TouchedFiles after, TouchFiles(options.folder, threads));
    shares.push_back((before.seconds + after.seconds) / 2 / seconds.back());
    result.bytes = after.bytes;
    result.resident = checkpoint->resident();
    before = after;
  }
  result.seconds = Median(seconds);
  result.ratio = Median(shares);
  return result;
}

// What the longest prompt and the most sequences take.
struct Room {
  TransformerOptions transformer;
  int64_t kv_blocks = 1;
};

Room RoomFor(const BenchOptions& options) {
  int64_t context_length = 1;
  int64_t kv_blocks = 1;
  for (const int64_t tokens : options.prompts) {
    context_length = std::max(context_length, tokens);
    kv_blocks = std::max(kv_blocks, tokens / kKvBlockTokens + 1);
  }
  int64_t most_sequences = 1;
  for (const int64_t batch : options.batches) most_sequences = std::max(most_sequences, batch);
  for (const int64_t context : options.contexts) {
    context_length = std::max(context_length, context + options.generate);
    kv_blocks =
        std::max(kv_blocks, ((context + options.generate) / kKvBlockTokens + 1) * most_sequences);
  }
  for (const int64_t streams : options.streams) {
    most_sequences = std::max(most_sequences, streams);
    context_length = std::max(context_length, kReplyPromptTokens + options.generate);
    kv_blocks = std::max(kv_blocks, ReplyBlocks(options.generate) * streams);
  }
  return {.transformer = {.activations = options.activations,
                          .context_length = context_length,
                          .max_batch_tokens = std::max(options.max_batch_tokens, most_sequences),
                          .max_batch_logits = most_sequences},
          .kv_blocks = kv_blocks};
}

absl::Status CheckMemory(const BenchOptions& options, const CheckpointSize& size,
                         const Room& room) {
  const int64_t limit =
      options.memory_limit_bytes > 0 ? options.memory_limit_bytes : MeasureMemoryLimit();
  const MemorySum sum = {
      .weights = size.weight_bytes,
      .kv_cache = room.kv_blocks * KvCache::BlockBytes(size.config, options.activations),
      .scratch = options.read_bytes +
                 Transformer::ScratchBytes(size.config, *options.kernels, room.transformer,
                                           options.threads) +
                 room.transformer.max_batch_logits * size.config.vocab_size *
                     static_cast<int64_t>(sizeof(float))};
  if (sum.total() <= limit) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat(options.folder, " does not fit: ", Describe(sum, limit),
                   ". Smaller or fewer prompts, sequences and contexts take less."));
}

}  // namespace

absl::Status RunBench(const BenchOptions& options, const BenchSink& sink) {
  ASSIGN_OR_RETURN(const CheckpointSize size,
                   MeasureCheckpoint(options.folder, {.weights = options.activations}));
  const Room room = RoomFor(options);
  RETURN_IF_ERROR(CheckMemory(options, size, room));
  ThreadTeam team(static_cast<size_t>(options.threads));
  std::optional<ReadMemory> read_memory(options.read_bytes);
  const MachineLimits limits = MeasureLimits(options, team, *read_memory);
  sink.limits(limits);
  std::unique_ptr<Checkpoint> checkpoint;
  ASSIGN_OR_RETURN(LoadResult load, MeasureLoad(options, checkpoint));
  const double read_speed = (limits.read_bytes_per_second +
                             MeasureLimits(options, team, *read_memory).read_bytes_per_second) /
                            2;
  load.read_ratio = static_cast<double>(load.bytes) / load.seconds / read_speed;
  sink.load(load);
  team.BindCaller();  // Not before: the threads that load would inherit it.
  Transformer transformer(checkpoint->config(), checkpoint->weights(), *options.kernels, team,
                          room.transformer);
  ASSIGN_OR_RETURN(const std::unique_ptr<KvCache> cache,
                   KvCache::Create(size.config, options.activations, room.kv_blocks));
  Bench bench(options, *checkpoint, team, *read_memory, transformer, *cache);
  for (const int64_t tokens : options.prompts) sink.prefill(bench.Prefill(tokens));
  for (const int64_t context : options.contexts) {
    for (const int64_t batch : options.batches) sink.decode(bench.Decode(batch, context));
  }
  for (const int64_t streams : options.streams) {
    ASSIGN_OR_RETURN(const RepliesResult replies, bench.Replies(streams));
    sink.replies(replies);
  }
  read_memory.reset();
  sink.memory({.resident_bytes = ResidentBytes(),
               .weight_bytes = checkpoint->weight_bytes(),
               .kv_cache_bytes =
                   bench.kv_blocks_used() * KvCache::BlockBytes(size.config, options.activations)});
  return absl::OkStatus();
}

}  // namespace llama
