#include "services/model/checkpoint/checkpoint_plan.h"

#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/printable.h"
#include "common/status_macros.h"

namespace llama {
namespace {

constexpr absl::string_view kRopeFrequencies = "rope.freqs";
constexpr int64_t kMaxVocabulary = 1 << 20;

using TensorIndex = absl::flat_hash_map<absl::string_view, const StoredTensor*>;

absl::Status Refuse(const TorchFile& file, absl::string_view tensor, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(file.file.path(), ": tensor \"",
                                                 Printable(tensor.substr(0, 200)), "\": ", what));
}

std::string ShapeText(const std::vector<int64_t>& shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
}

// The number of rows of output.weight over all files.
absl::StatusOr<int64_t> FindVocabularySize(std::span<const TorchFile> files,
                                           const TensorIndex& index) {
  const auto output = index.find("output.weight");
  if (output == index.end()) return Refuse(files[0], "output.weight", "missing");
  const std::vector<int64_t>& shape = output->second->info.shape;
  if (shape.empty() || shape[0] > kMaxVocabulary / static_cast<int64_t>(files.size())) {
    return Refuse(
        files[0], "output.weight",
        absl::StrCat("expected at most ", kMaxVocabulary, " rows, found ", ShapeText(shape)));
  }
  return shape[0] * static_cast<int64_t>(files.size());
}

std::vector<PlannedMatrix> Expected(const ModelConfig& config) {
  std::vector<PlannedMatrix> matrices;
  const auto add = [&matrices](std::string name, int64_t rows, int64_t cols, Split split) {
    matrices.push_back({std::move(name), rows, cols, split, {}});
  };
  add("tok_embeddings.weight", config.vocab_size, config.dim, Split::kCols);
  add("norm.weight", 1, config.dim, Split::kNone);
  add("output.weight", config.vocab_size, config.dim, Split::kRows);
  for (int64_t i = 0; i < config.n_layers; ++i) {
    const std::string layer = absl::StrCat("layers.", i, ".");
    add(layer + "attention_norm.weight", 1, config.dim, Split::kNone);
    add(layer + "attention.wq.weight", config.dim, config.dim, Split::kRows);
    add(layer + "attention.wk.weight", config.kv_dim(), config.dim, Split::kRows);
    add(layer + "attention.wv.weight", config.kv_dim(), config.dim, Split::kRows);
    add(layer + "attention.wo.weight", config.dim, config.dim, Split::kCols);
    add(layer + "ffn_norm.weight", 1, config.dim, Split::kNone);
    add(layer + "feed_forward.w1.weight", config.ffn_hidden_dim, config.dim, Split::kRows);
    add(layer + "feed_forward.w2.weight", config.dim, config.ffn_hidden_dim, Split::kCols);
    add(layer + "feed_forward.w3.weight", config.ffn_hidden_dim, config.dim, Split::kRows);
  }
  return matrices;
}

// The shape that a file's part of the matrix must have.
absl::StatusOr<std::vector<int64_t>> PartShape(const PlannedMatrix& matrix,
                                               std::span<const TorchFile> files) {
  const auto count = static_cast<int64_t>(files.size());
  if (matrix.split == Split::kNone) return std::vector<int64_t>{matrix.cols};
  const int64_t cut = matrix.split == Split::kRows ? matrix.rows : matrix.cols;
  if (cut % count != 0) {
    return Refuse(
        files.back(), matrix.name,
        absl::StrCat("its ", cut, " rows or columns cannot be divided among ", count, " files"));
  }
  return matrix.split == Split::kRows ? std::vector<int64_t>{matrix.rows / count, matrix.cols}
                                      : std::vector<int64_t>{matrix.rows, matrix.cols / count};
}

}  // namespace

absl::StatusOr<CheckpointPlan> PlanCheckpoint(const ModelConfig& config,
                                              std::span<const TorchFile> files) {
  std::vector<TensorIndex> indexes(files.size());
  for (size_t i = 0; i < files.size(); ++i) {
    for (const StoredTensor& tensor : files[i].tensors) indexes[i][tensor.info.name] = &tensor;
  }
  CheckpointPlan plan = {.config = config, .matrices = {}};
  if (plan.config.vocab_size == -1) {
    ASSIGN_OR_RETURN(plan.config.vocab_size, FindVocabularySize(files, indexes[0]));
  }
  plan.matrices = Expected(plan.config);
  for (PlannedMatrix& matrix : plan.matrices) {
    ASSIGN_OR_RETURN(const std::vector<int64_t> shape, PartShape(matrix, files));
    for (size_t i = 0; i < files.size(); ++i) {
      const auto found = indexes[i].find(matrix.name);
      if (found == indexes[i].end()) return Refuse(files[i], matrix.name, "missing");
      const TensorInfo& info = found->second->info;
      if (info.shape != shape) {
        return Refuse(
            files[i], matrix.name,
            absl::StrCat("expected shape ", ShapeText(shape), ", found ", ShapeText(info.shape)));
      }
      matrix.parts.push_back(found->second);
      if (info.type != matrix.type()) {
        return Refuse(files[i], matrix.name,
                      absl::StrCat("expected ", NameOf(matrix.type()),
                                   " as in the first file, found ", NameOf(info.type)));
      }
      indexes[i].erase(found);
    }
  }
  for (size_t i = 0; i < files.size(); ++i) {
    for (const auto& [name, tensor] : indexes[i]) {
      if (name == kRopeFrequencies) continue;
      return Refuse(files[i], name, "not a part of this model");
    }
  }
  return plan;
}

}  // namespace llama
