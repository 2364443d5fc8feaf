#ifndef LLAMA_SERVICES_MODEL_TENSOR_TENSOR_H_
#define LLAMA_SERVICES_MODEL_TENSOR_TENSOR_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "services/model/tensor/bf16.h"

namespace llama {

enum class DataType { kBf16, kF16, kF32 };

// Bytes of one element: 2 or 4.
size_t SizeOf(DataType type);
// "bf16", "f16", "f32".
absl::string_view NameOf(DataType type);

// What a checkpoint says of one of its tensors.
struct TensorInfo {
  std::string name;
  DataType type = DataType::kBf16;
  std::vector<int64_t> shape;
};

// A row-major matrix of weights, bf16 or f32, that somebody else owns. A vector is a matrix of one
// row.
struct Matrix {
  DataType type = DataType::kBf16;  // kBf16 or kF32.
  const void* data = nullptr;       // [rows, cols]
  size_t rows = 0;
  size_t cols = 0;

  // REQUIRES: the type.
  const Bf16* bf16() const { return static_cast<const Bf16*>(data); }
  const float* f32() const { return static_cast<const float*>(data); }
};

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_TENSOR_TENSOR_H_
