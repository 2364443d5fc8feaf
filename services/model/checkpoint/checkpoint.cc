#include "services/model/checkpoint/checkpoint.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/mutex.h"
#include "common/read_file.h"
#include "common/sha256.h"
#include "common/status_macros.h"
#include "services/model/checkpoint/bytes.h"
#include "services/model/checkpoint/checkpoint_plan.h"
#include "services/model/checkpoint/parallel_for.h"
#include "services/model/checkpoint/torch_file.h"
#include "services/model/checkpoint/verify.h"
#include "services/model/tensor/f16.h"

namespace llama {
namespace {

constexpr int64_t kMaxParamsBytes = int64_t{64} << 10;
constexpr size_t kMaxFiles = 64;

// The files of a folder, opened and compared with its params.json.
struct OpenCheckpoint {
  std::string params_json;
  std::vector<TorchFile> files;
  CheckpointPlan plan;  // Points into files.
};

absl::StatusOr<OpenCheckpoint> OpenFolder(const std::string& folder) {
  const std::string params_path = absl::StrCat(folder, "/params.json");
  OpenCheckpoint open;
  ASSIGN_OR_RETURN(open.params_json, ReadFile(params_path, kMaxParamsBytes));
  ASSIGN_OR_RETURN(const ModelConfig config, ParseModelConfig(open.params_json, params_path));
  for (size_t i = 0; i < kMaxFiles; ++i) {
    const std::string path = absl::StrFormat("%s/consolidated.%02d.pth", folder, i);
    std::error_code error;
    if (i > 0 && !std::filesystem::exists(path, error)) break;
    ASSIGN_OR_RETURN(TorchFile file, OpenTorchFile(path));
    open.files.push_back(std::move(file));
  }
  ASSIGN_OR_RETURN(open.plan, PlanCheckpoint(config, open.files));
  return open;
}

// The type that the transformer gets a matrix in.
DataType TargetType(const PlannedMatrix& matrix, DataType weights) {
  return weights == DataType::kBf16 || matrix.type() == DataType::kBf16 ? DataType::kBf16
                                                                        : DataType::kF32;
}

bool IsInPlace(const PlannedMatrix& matrix, DataType target) {
  const StoredTensor& part = *matrix.parts[0];
  const bool whole = matrix.split == Split::kNone || matrix.parts.size() == 1;
  const bool contiguous = part.strides.back() == 1 &&
                          (part.strides.size() == 1 || part.strides[0] == part.info.shape[1]);
  const bool aligned = reinterpret_cast<uintptr_t>(part.data) % SizeOf(part.info.type) == 0;
  return whole && contiguous && aligned && part.info.type == target;
}

float ReadElement(const std::byte* at, DataType type) {
  if (type == DataType::kF32) {
    float value;
    std::memcpy(&value, at, sizeof value);
    return value;
  }
  uint16_t bits;
  std::memcpy(&bits, at, sizeof bits);
  return type == DataType::kBf16 ? ToFloat(Bf16{bits}) : F16ToFloat(bits);
}

// Joins and converts the parts of a matrix into `out`, row-major. False if a finite weight is not
// finite in the target type: f32 beyond the range of bf16.
bool CopyMatrix(const PlannedMatrix& matrix, DataType target, std::byte* out) {
  const size_t width = SizeOf(target);
  const auto cols = static_cast<size_t>(matrix.cols);
  size_t row_begin = 0;
  size_t col_begin = 0;
  bool finite = true;
  for (const StoredTensor* const part : matrix.parts) {
    const std::vector<int64_t>& shape = part->info.shape;
    const size_t part_rows = shape.size() == 1 ? 1 : static_cast<size_t>(shape[0]);
    const auto part_cols = static_cast<size_t>(shape.back());
    const size_t row_stride = shape.size() == 1 ? 0 : static_cast<size_t>(part->strides[0]);
    const auto col_stride = static_cast<size_t>(part->strides.back());
    const size_t element = SizeOf(part->info.type);
    for (size_t r = 0; r < part_rows; ++r) {
      std::byte* const row = out + ((row_begin + r) * cols + col_begin) * width;
      for (size_t c = 0; c < part_cols; ++c) {
        const float value =
            ReadElement(part->data + (r * row_stride + c * col_stride) * element, part->info.type);
        if (target == DataType::kF32) {
          std::memcpy(row + c * width, &value, width);
          continue;
        }
        const Bf16 rounded = ToBf16(value);
        finite = finite && (rounded.bits & 0x7F80) != 0x7F80;
        std::memcpy(row + c * width, &rounded, width);
      }
    }
    if (matrix.split == Split::kNone) break;  // The other files repeat it.
    if (matrix.split == Split::kRows) row_begin += part_rows;
    if (matrix.split == Split::kCols) col_begin += part_cols;
  }
  return finite;
}

size_t CopiedBytes(const PlannedMatrix& matrix, DataType weights) {
  const DataType target = TargetType(matrix, weights);
  if (IsInPlace(matrix, target)) return 0;
  return static_cast<size_t>(matrix.rows * matrix.cols) * SizeOf(target);
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

}  // namespace

struct Checkpoint::Impl {
  std::vector<MappedFile> files;
  std::vector<std::unique_ptr<std::byte[]>> copies;
  ModelConfig config;
  ModelWeights weights;
  std::vector<TensorInfo> tensors;
  int64_t parameter_count = 0;
  int64_t weight_bytes = 0;
  std::string digest;
};

absl::StatusOr<std::unique_ptr<Checkpoint>> Checkpoint::Load(const std::string& folder,
                                                             const CheckpointOptions& options) {
  ASSIGN_OR_RETURN(OpenCheckpoint open, OpenFolder(folder));
  int64_t total = 0;
  for (const TorchFile& file : open.files) {
    for (const ZipEntry& entry : file.entries) total += static_cast<int64_t>(entry.data.size());
  }
  int64_t copied = 0;
  for (const PlannedMatrix& matrix : open.plan.matrices) {
    copied += static_cast<int64_t>(CopiedBytes(matrix, options.weights));
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
  impl->copies.resize(planned.size());
  std::atomic<size_t> too_large = planned.size();
  ParallelFor(planned.size(), options.threads, [&](size_t i) {
    const DataType target = TargetType(planned[i], options.weights);
    matrices[i] = {.type = target,
                   .data = planned[i].parts[0]->data,
                   .rows = static_cast<size_t>(planned[i].rows),
                   .cols = static_cast<size_t>(planned[i].cols)};
    const size_t bytes = CopiedBytes(planned[i], options.weights);
    if (bytes == 0) return;
    impl->copies[i] = std::make_unique_for_overwrite<std::byte[]>(bytes);
    matrices[i].data = impl->copies[i].get();
    if (!CopyMatrix(planned[i], target, impl->copies[i].get())) too_large = i;
    progress.Add(static_cast<int64_t>(bytes));
  });
  if (too_large < planned.size()) {
    return absl::InvalidArgumentError(absl::StrCat(folder, ": tensor \"", planned[too_large].name,
                                                   "\": a weight is too large for bf16"));
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
  for (TorchFile& file : open.files) impl->files.push_back(std::move(file.file));
  return std::unique_ptr<Checkpoint>(new Checkpoint(std::move(impl)));
}

Checkpoint::Checkpoint(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Checkpoint::~Checkpoint() = default;
const ModelConfig& Checkpoint::config() const { return impl_->config; }
const ModelWeights& Checkpoint::weights() const { return impl_->weights; }
const std::vector<TensorInfo>& Checkpoint::tensors() const { return impl_->tensors; }
int64_t Checkpoint::parameter_count() const { return impl_->parameter_count; }
int64_t Checkpoint::weight_bytes() const { return impl_->weight_bytes; }
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
