#ifndef LLAMA_SERVICES_MODEL_CHECKPOINT_MATRIX_COPY_H_
#define LLAMA_SERVICES_MODEL_CHECKPOINT_MATRIX_COPY_H_

#include <cstddef>

#include "services/model/checkpoint/checkpoint_plan.h"
#include "services/model/tensor/tensor.h"

namespace llama {

// The type that the transformer gets a matrix in: see CheckpointOptions::weights.
DataType TargetType(const PlannedMatrix& matrix, DataType weights);

// Bytes of memory that the matrix needs beside the mapped files; 0 if it is used in place.
// `resident`: it is not.
size_t CopiedBytes(const PlannedMatrix& matrix, DataType weights, bool resident);

// Joins and converts the parts of a matrix into `out`, row-major and in the target type, of
// CopiedBytes(). False if a weight that was converted is not finite in the target type bf16: NaN,
// infinite, or f32 beyond its range.
bool CopyMatrix(const PlannedMatrix& matrix, DataType target, std::byte* out);

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_CHECKPOINT_MATRIX_COPY_H_
