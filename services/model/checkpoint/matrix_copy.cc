#include "services/model/checkpoint/matrix_copy.h"

#include <cstdint>
#include <cstring>
#include <vector>

#include "services/model/tensor/f16.h"

namespace llama {
namespace {

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

}  // namespace

DataType TargetType(const PlannedMatrix& matrix, DataType weights) {
  return weights == DataType::kBf16 || matrix.type() == DataType::kBf16 ? DataType::kBf16
                                                                        : DataType::kF32;
}

size_t CopiedBytes(const PlannedMatrix& matrix, DataType weights, bool resident) {
  const DataType target = TargetType(matrix, weights);
  if (!resident && IsInPlace(matrix, target)) return 0;
  return static_cast<size_t>(matrix.rows * matrix.cols) * SizeOf(target);
}

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
      if (part->info.type == target && col_stride == 1) {
        std::memcpy(row, part->data + r * row_stride * element, part_cols * width);
        continue;
      }
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

}  // namespace llama
