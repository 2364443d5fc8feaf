#ifndef LLAMA_SERVICES_MODEL_CHECKPOINT_PICKLE_READER_H_
#define LLAMA_SERVICES_MODEL_CHECKPOINT_PICKLE_READER_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "services/model/tensor/tensor.h"

namespace llama {

// A tensor as torch.save describes it: a view of a storage, which is an entry of the zip file.
struct PickledTensor {
  std::string name;
  DataType type = DataType::kBf16;
  std::string storage_key;       // The entry is "<folder>/data/<key>".
  int64_t storage_elements = 0;  // What the storage claims to hold.
  int64_t offset = 0;            // In elements.
  std::vector<int64_t> shape;
  std::vector<int64_t> strides;  // In elements; as many as shape has.
};

// Largest data.pkl that is read.
inline constexpr size_t kMaxPickleBytes = size_t{16} << 20;

// Reads the data.pkl of a state dict: a dict or OrderedDict from names to tensors. The pickle
// (Python's pickletools describes the opcodes) is parsed, never executed: only the opcodes that
// torch.save writes for such a dict are known, and a global is one of a handful of names. Errors:
// INVALID_ARGUMENT, with the position of the byte at fault. Neither sizes nor offsets are checked
// here, beyond being numbers >= 0.
absl::StatusOr<std::vector<PickledTensor>> ReadStateDict(std::span<const std::byte> pickle);

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_CHECKPOINT_PICKLE_READER_H_
