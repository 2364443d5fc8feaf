#include "services/model/tensor/tensor.h"

namespace llama {

size_t SizeOf(DataType type) { return type == DataType::kF32 ? 4 : 2; }

absl::string_view NameOf(DataType type) {
  switch (type) {
    case DataType::kBf16:
      return "bf16";
    case DataType::kF16:
      return "f16";
    case DataType::kF32:
      return "f32";
  }
  return "?";
}

}  // namespace llama
