#ifndef LLAMA_SERVICES_MODEL_CHECKPOINT_CHECKPOINT_H_
#define LLAMA_SERVICES_MODEL_CHECKPOINT_CHECKPOINT_H_

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/model/checkpoint/model_config.h"
#include "services/model/tensor/tensor.h"

namespace llama {

// The weights of one transformer layer, under Meta's names.
struct LayerWeights {
  Matrix attention_norm;  // [1, dim]
  Matrix wq;              // [n_heads * head_dim, dim]
  Matrix wk;              // [n_kv_heads * head_dim, dim]
  Matrix wv;              // [n_kv_heads * head_dim, dim]
  Matrix wo;              // [dim, n_heads * head_dim]
  Matrix ffn_norm;        // [1, dim]
  Matrix w1;              // [ffn_hidden_dim, dim]: gate
  Matrix w2;              // [dim, ffn_hidden_dim]: down
  Matrix w3;              // [ffn_hidden_dim, dim]: up
};

struct ModelWeights {
  Matrix tok_embeddings;  // [vocab_size, dim]
  std::vector<LayerWeights> layers;
  Matrix norm;    // [1, dim]
  Matrix output;  // [vocab_size, dim]
};

// Where matrices lie that are in the files as the transformer gets them.
enum class WeightPlacement {
  kMapped,    // In the mapped file, which shares memory with the page cache.
  kResident,  // Copied, as all others, into memory of their own, in huge pages.
  kAuto,      // Copied if the files are large and the system maps them in small pages.
};
// "mapped", "resident" or "auto"; nothing if it is another word.
std::optional<WeightPlacement> ParseWeightPlacement(absl::string_view word);

struct CheckpointOptions {
  // Of the matrices that the transformer gets. kBf16: f16 and f32 weights are rounded to bf16 when
  // loading. kF32: bf16 stays bf16 (exact), f16 and f32 become f32.
  DataType weights = DataType::kBf16;
  WeightPlacement placement = WeightPlacement::kMapped;
  // With kAuto nothing is copied that need not be where copies would take more than this.
  int64_t spare_bytes = std::numeric_limits<int64_t>::max();
  // Whether the CRC-32 of every entry is verified and non-finite weights are looked for (which
  // reads all of the file), or the structure only.
  bool verify = true;
  // Threads that read and verify.
  int threads = 1;
  // Called now and then, from one thread at a time, with what part of the work is done, 0 to 1.
  std::function<void(double)> progress = [](double) {};
};

// A Llama checkpoint folder as Meta ships it: params.json, consolidated.00.pth (and .01 …, the
// parts of a tensor-parallel model, which are read as one). The files are hostile until verified:
// see the folder's README. Owns the weights: bf16 of a single file lies where it is mapped, if that
// is wanted, everything else in memory of its own. Immutable: thread-safe.
class Checkpoint {
 public:
  // Errors name the file and the tensor, key or field, with what was expected and what was found:
  // NOT_FOUND, INVALID_ARGUMENT, FAILED_PRECONDITION, DATA_LOSS (a CRC differs).
  static absl::StatusOr<std::unique_ptr<Checkpoint>> Load(const std::string& folder,
                                                          const CheckpointOptions& options);

  const ModelConfig& config() const;
  // Valid as long as the checkpoint.
  const ModelWeights& weights() const;
  // Every tensor of the model in the order of the (first) file, whole shapes, as stored.
  const std::vector<TensorInfo>& tensors() const;
  int64_t parameter_count() const;  // Without rope.freqs.
  int64_t weight_bytes() const;     // Of weights(), in memory.
  bool resident() const;            // All weights are copies: no file is mapped.
  // As ModelIdentity.digest in common.proto.
  const std::string& digest() const;

  ~Checkpoint();

 private:
  struct Impl;
  explicit Checkpoint(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// What loading would need, from the structure of the files alone: reads no weights. Cheap.
struct CheckpointSize {
  ModelConfig config;
  int64_t weight_bytes = 0;
};
absl::StatusOr<CheckpointSize> MeasureCheckpoint(const std::string& folder,
                                                 const CheckpointOptions& options);

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_CHECKPOINT_CHECKPOINT_H_
