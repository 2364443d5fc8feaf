#ifndef LLAMA_TESTS_SUPPORT_MODEL_WRITER_H_
#define LLAMA_TESTS_SUPPORT_MODEL_WRITER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "services/model/tensor/tensor.h"
#include "tests/support/pickle_writer.h"
#include "tests/support/zip_writer.h"

namespace llama {

// The shape of a tiny Llama model with random weights; 45 KB by default.
struct TinyModel {
  int64_t dim = 32;
  int64_t n_layers = 2;
  int64_t n_heads = 4;
  int64_t n_kv_heads = 2;
  int64_t vocab_size = 64;
  bool vocab_size_given = true;  // In params.json; -1 there otherwise.
  int64_t multiple_of = 16;
  std::optional<double> ffn_dim_multiplier = 0.5;
  double norm_eps = 1e-5;
  double rope_theta = 10000;

  DataType type = DataType::kBf16;  // As stored.
  uint64_t seed = 1;
};

// A tensor by value, row-major.
struct TinyTensor {
  std::string name;
  std::vector<int64_t> shape;
  std::vector<float> values;
};

std::string TinyParams(const TinyModel& model);
// Every tensor of the model, rope.freqs too, in the order of Meta's files. All values are exact in
// bf16, f16 and f32, and the same in each; they depend on seed and names alone.
std::vector<TinyTensor> TinyTensors(const TinyModel& model);

// What Meta's model parallelism puts into file `index` of `files`.
std::vector<TinyTensor> FilePart(const std::vector<TinyTensor>& tensors, int64_t index,
                                 int64_t files);
// The elements of a tensor as a file stores them. REQUIRES: exact in the type, or not finite.
std::string Encode(const std::vector<float>& values, DataType type);

// A consolidated.00.pth in parts, so that a test can change one before it writes them.
struct TorchParts {
  std::vector<std::pair<std::string, std::string>> items;  // For pickle::StateDict().
  std::vector<ZipPart> storages;                           // "archive/data/0" …

  // The file's bytes, with archive/data.pkl first and archive/version last.
  std::string Write(const ZipOptions& options = {}) const;
};
TorchParts MakeTorchParts(const std::vector<TinyTensor>& tensors, DataType type);

// Writes params.json and consolidated.00.pth … into the folder.
void WriteModel(const TinyModel& model, const std::string& folder, int64_t files = 1);

}  // namespace llama

#endif  // LLAMA_TESTS_SUPPORT_MODEL_WRITER_H_
