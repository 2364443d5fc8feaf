#ifndef LLAMA_SERVICES_MODEL_CHECKPOINT_CHECKPOINT_PLAN_H_
#define LLAMA_SERVICES_MODEL_CHECKPOINT_CHECKPOINT_PLAN_H_

#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "services/model/checkpoint/model_config.h"
#include "services/model/checkpoint/torch_file.h"

namespace llama {

// How Meta's model parallelism cuts a matrix into the parts that the files of a checkpoint hold.
enum class Split {
  kNone,  // Every file has the whole (and the same).
  kRows,
  kCols,
};

// A matrix of the model and where its parts lie. Parts agree in type.
struct PlannedMatrix {
  std::string name;
  int64_t rows = 0;  // Of the whole; 1 for a vector.
  int64_t cols = 0;
  Split split = Split::kNone;
  std::vector<const StoredTensor*> parts;  // One of each file. The files' own.

  DataType type() const { return parts[0]->info.type; }
};

struct CheckpointPlan {
  ModelConfig config;  // With the vocabulary's size filled in.
  // tok_embeddings, norm, output, then per layer: attention_norm, wq, wk, wv, wo, ffn_norm, w1, w2,
  // w3.
  std::vector<PlannedMatrix> matrices;
};
inline constexpr size_t kMatricesBeforeLayers = 3;
inline constexpr size_t kMatricesPerLayer = 9;

// Compares what the config asks for with what the files have, both ways. rope.freqs may be there
// and is not used. Errors: INVALID_ARGUMENT, naming the file, the tensor, and both shapes.
absl::StatusOr<CheckpointPlan> PlanCheckpoint(const ModelConfig& config,
                                              std::span<const TorchFile> files);

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_CHECKPOINT_CHECKPOINT_PLAN_H_
