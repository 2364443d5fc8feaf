#include "services/model/checkpoint/checkpoint.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "common/mutex.h"
#include "common/read_file.h"
#include "common/sha256.h"
#include "common/status_macros.h"
#include "services/model/checkpoint/bytes.h"
#include "services/model/checkpoint/checkpoint_plan.h"
#include "services/model/checkpoint/huge_pages.h"
#include "services/model/checkpoint/large_buffer.h"
#include "services/model/checkpoint/matrix_copy.h"
#include "services/model/checkpoint/parallel_for.h"
#include "services/model/checkpoint/torch_file.h"
#include "services/model/checkpoint/verify.h"

namespace llama {
namespace {

constexpr int64_t kMaxParamsBytes = int64_t{64} << 10;
// Memory for copies, as a multiple of the files: f16 that becomes f32 doubles, and an embedding
// that both ends of the model share is copied twice. More can only come from tensors that share
// storages.
constexpr uint64_t kMaxCopiesPerFileByte = 4;

// Smaller models gain nothing worth telling from huge pages.
constexpr int64_t kLeastCopied = int64_t{32} << 20;

// The files of a folder, opened and compared with its params.json.
struct OpenCheckpoint {
  std::string params_json;
  std::vector<TorchFile> files;
  CheckpointPlan plan;  // Points into files.
};

// One more than the highest number of a consolidated.NN.pth in the folder, at least 1: a file that
// is missing among them is then asked for by name.
size_t CountFiles(const std::string& folder) {
  size_t files = 1;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    absl::string_view number = name;
    size_t index = 0;
    if (absl::ConsumePrefix(&number, "consolidated.") && absl::ConsumeSuffix(&number, ".pth") &&
        number.size() == 2 && absl::SimpleAtoi(number, &index)) {
      files = std::max(files, index + 1);
    }
  }
  return files;
}

absl::StatusOr<OpenCheckpoint> OpenFolder(const std::string& folder) {
  const std::string params_path = absl::StrCat(folder, "/params.json");
  OpenCheckpoint open;
  ASSIGN_OR_RETURN(open.params_json, ReadFile(params_path, kMaxParamsBytes));
  ASSIGN_OR_RETURN(const ModelConfig config, ParseModelConfig(open.params_json, params_path));
  const size_t files = CountFiles(folder);
  for (size_t i = 0; i < files; ++i) {
    ASSIGN_OR_RETURN(TorchFile file,
                     OpenTorchFile(absl::StrFormat("%s/consolidated.%02d.pth", folder, i)));
    open.files.push_back(std::move(file));
  }
  ASSIGN_OR_RETURN(open.plan, PlanCheckpoint(config, open.files));
  return open;
}

// Every file has the norms; a checkpoint whose files disagree is not one model.
absl::Status CheckCopiesAgree(const OpenCheckpoint& open) {
  for (const PlannedMatrix& matrix : open.plan.matrices) {
    if (matrix.split != Split::kNone) continue;
    for (size_t i = 1; i < matrix.parts.size(); ++i) {
      const StoredTensor& a = *matrix.parts[0];
      const StoredTensor& b = *matrix.parts[i];
      const size_t element = SizeOf(a.info.type);
      for (size_t c = 0; c < static_cast<size_t>(matrix.cols); ++c) {
        if (std::memcmp(a.data + c * static_cast<size_t>(a.strides[0]) * element,
                        b.data + c * static_cast<size_t>(b.strides[0]) * element, element) == 0) {
          continue;
        }
        return absl::InvalidArgumentError(
            absl::StrCat(open.files[i].file.path(), ": tensor \"", matrix.name,
                         "\": expected the same values as in ", open.files[0].file.path()));
      }
    }
  }
  return absl::OkStatus();
}

// SHA-256 over params.json, a zero byte, and a line "name type shape crc32" for every tensor of
// every file in order: "norm.weight bf16 64 1a2b3c4d\n", sizes joined by "x".
std::string ComputeDigest(const OpenCheckpoint& open) {
  std::string text = open.params_json + '\0';
  for (const TorchFile& file : open.files) {
    for (const StoredTensor& tensor : file.tensors) {
      absl::StrAppendFormat(&text, "%s %s %s %08x\n", tensor.info.name, NameOf(tensor.info.type),
                            absl::StrJoin(tensor.info.shape, "x"),
                            file.entries[tensor.entry].crc32);
    }
  }
  return Sha256Hex(text);
}

ModelWeights Arrange(const std::vector<Matrix>& matrices) {
  ModelWeights weights = {
      .tok_embeddings = matrices[0], .layers = {}, .norm = matrices[1], .output = matrices[2]};
  for (size_t i = kMatricesBeforeLayers; i < matrices.size(); i += kMatricesPerLayer) {
    weights.layers.push_back({.attention_norm = matrices[i],
                              .wq = matrices[i + 1],
                              .wk = matrices[i + 2],
                              .wv = matrices[i + 3],
                              .wo = matrices[i + 4],
                              .ffn_norm = matrices[i + 5],
                              .w1 = matrices[i + 6],
                              .w2 = matrices[i + 7],
                              .w3 = matrices[i + 8]});
  }
  return weights;
}

// The tensors in the order of the first file, with the shapes of the whole.
std::vector<TensorInfo> ListTensors(const OpenCheckpoint& open) {
  std::vector<TensorInfo> tensors;
  for (const StoredTensor& tensor : open.files[0].tensors) {
    tensors.push_back(tensor.info);
    for (const PlannedMatrix& matrix : open.plan.matrices) {
      if (matrix.name != tensor.info.name || matrix.split == Split::kNone) continue;
      tensors.back().shape = {matrix.rows, matrix.cols};
    }
  }
  return tensors;
}

// Adds up what the threads have done and reports it, one report at a time and each larger than the
// last.
class Progress {
 public:
  Progress(int64_t total, const std::function<void(double)>& report)
      : total_(std::max<int64_t>(total, 1)), report_(report) {}

  void Add(int64_t bytes) {
    MutexLock lock(&mutex_);
    done_ += bytes;
    report_(std::min(1.0, static_cast<double>(done_) / static_cast<double>(total_)));
  }

 private:
  const int64_t total_;
  const std::function<void(double)>& report_;
  Mutex mutex_;
  int64_t done_ ABSL_GUARDED_BY(mutex_) = 0;
};

int64_t CopiedBytes(const OpenCheckpoint& open, DataType weights, bool resident) {
  int64_t bytes = 0;
  for (const PlannedMatrix& matrix : open.plan.matrices) {
    bytes += static_cast<int64_t>(CopiedBytes(matrix, weights, resident));
  }
  return bytes;
}

// Whether everything is copied.
bool IsResident(const OpenCheckpoint& open, const CheckpointOptions& options) {
  if (options.placement != WeightPlacement::kAuto) {
    return options.placement == WeightPlacement::kResident;
  }
  const int64_t copied = CopiedBytes(open, options.weights, true);
  if (copied < kLeastCopied || copied > options.spare_bytes) return false;
  // The system may refuse the address space.
  return ShareInHugePages(open.files[0].file.bytes()) < 0.5 &&
         LargeBuffer::Create(static_cast<size_t>(copied)) != nullptr;
}

}  // namespace

std::optional<WeightPlacement> ParseWeightPlacement(absl::string_view word) {
  if (word == "mapped") return WeightPlacement::kMapped;
  if (word == "resident") return WeightPlacement::kResident;
  if (word == "auto") return WeightPlacement::kAuto;
  return std::nullopt;
}

struct Checkpoint::Impl {
  std::vector<MappedFile> files;  // None if all matrices are copies.
  std::unique_ptr<LargeBuffer> copies;
  ModelConfig config;
  ModelWeights weights;
  std::vector<TensorInfo> tensors;
  int64_t parameter_count = 0;
  int64_t weight_bytes = 0;
  bool resident = true;
  std::string digest;
};

absl::StatusOr<std::unique_ptr<Checkpoint>> Checkpoint::Load(const std::string& folder,
                                                             const CheckpointOptions& options) {
  ASSIGN_OR_RETURN(OpenCheckpoint open, OpenFolder(folder));
  int64_t total = 0;
  for (const TorchFile& file : open.files) {
    for (const ZipEntry& entry : file.entries) total += static_cast<int64_t>(entry.data.size());
  }
  const bool resident = IsResident(open, options);
  const int64_t copied = CopiedBytes(open, options.weights, resident);
  if (static_cast<uint64_t>(copied) / kMaxCopiesPerFileByte > static_cast<uint64_t>(total)) {
    return absl::InvalidArgumentError(absl::StrCat(folder, ": expected tensors of at most ",
                                                   kMaxCopiesPerFileByte, " times the files' ",
                                                   total, " bytes, found ", copied));
  }
  Progress progress(total * (options.verify ? 1 : 0) + copied, options.progress);
  if (options.verify) {
    for (const TorchFile& file : open.files) {
      RETURN_IF_ERROR(
          VerifyFile(file, options.threads, [&progress](int64_t bytes) { progress.Add(bytes); }));
    }
  }
  RETURN_IF_ERROR(CheckCopiesAgree(open));

  auto impl = std::make_unique<Impl>();
  const std::vector<PlannedMatrix>& planned = open.plan.matrices;
  std::vector<Matrix> matrices(planned.size());
  std::vector<size_t> offsets;  // Of each copy; at the next one's if there is none.
  size_t copies_end = 0;
  for (const PlannedMatrix& matrix : planned) {
    offsets.push_back(copies_end);
    // Each begins at a cache line.
    const size_t bytes = CopiedBytes(matrix, options.weights, resident);
    copies_end += (bytes + 63) / 64 * 64;
    if (bytes == 0) impl->resident = false;
  }
  if (copies_end > 0) {
    impl->copies = LargeBuffer::Create(copies_end);
    if (impl->copies == nullptr) {
      return absl::ResourceExhaustedError(
          absl::StrCat(folder, ": no memory for ", copies_end, " bytes of weights"));
    }
  }
  std::atomic<size_t> not_finite = planned.size();
  ParallelFor(planned.size(), options.threads, [&](size_t i) {
    const DataType target = TargetType(planned[i], options.weights);
    matrices[i] = {.type = target,
                   .data = planned[i].parts[0]->data,
                   .rows = static_cast<size_t>(planned[i].rows),
                   .cols = static_cast<size_t>(planned[i].cols)};
    const size_t bytes = CopiedBytes(planned[i], options.weights, resident);
    if (bytes == 0) return;
    std::byte* const copy = impl->copies->data() + offsets[i];
    matrices[i].data = copy;
    if (!CopyMatrix(planned[i], target, copy)) not_finite = i;
    progress.Add(static_cast<int64_t>(bytes));
  });
  if (not_finite < planned.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat(folder, ": tensor \"", planned[not_finite].name,
                     "\": a weight is no finite number, or too large for bf16"));
  }
  impl->config = open.plan.config;
  impl->weights = Arrange(matrices);
  impl->tensors = ListTensors(open);
  impl->digest = ComputeDigest(open);
  for (const Matrix& matrix : matrices) {
    const auto count = static_cast<int64_t>(matrix.rows * matrix.cols);
    impl->parameter_count += count;
    impl->weight_bytes += count * static_cast<int64_t>(SizeOf(matrix.type));
  }
  if (!impl->resident) {
    for (TorchFile& file : open.files) impl->files.push_back(std::move(file.file));
  }
  return std::unique_ptr<Checkpoint>(new Checkpoint(std::move(impl)));
}

Checkpoint::Checkpoint(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Checkpoint::~Checkpoint() = default;
const ModelConfig& Checkpoint::config() const { return impl_->config; }
const ModelWeights& Checkpoint::weights() const { return impl_->weights; }
const std::vector<TensorInfo>& Checkpoint::tensors() const { return impl_->tensors; }
int64_t Checkpoint::parameter_count() const { return impl_->parameter_count; }
int64_t Checkpoint::weight_bytes() const { return impl_->weight_bytes; }
bool Checkpoint::resident() const { return impl_->resident; }
const std::string& Checkpoint::digest() const { return impl_->digest; }

absl::StatusOr<CheckpointSize> MeasureCheckpoint(const std::string& folder,
                                                 const CheckpointOptions& options) {
  ASSIGN_OR_RETURN(const OpenCheckpoint open, OpenFolder(folder));
  CheckpointSize size = {.config = open.plan.config};
  for (const PlannedMatrix& matrix : open.plan.matrices) {
    size.weight_bytes += matrix.rows * matrix.cols *
                         static_cast<int64_t>(SizeOf(TargetType(matrix, options.weights)));
  }
  return size;
}

}  // namespace llama
