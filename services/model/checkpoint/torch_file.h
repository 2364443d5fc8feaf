#ifndef LLAMA_SERVICES_MODEL_CHECKPOINT_TORCH_FILE_H_
#define LLAMA_SERVICES_MODEL_CHECKPOINT_TORCH_FILE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/mapped_file.h"
#include "services/model/checkpoint/zip_reader.h"
#include "services/model/tensor/tensor.h"

namespace llama {

// A tensor in a mapped file: rank 1 or 2 in a model, seen as [rows, cols] here.
struct StoredTensor {
  TensorInfo info;
  const std::byte* data = nullptr;  // Its first element, possibly unaligned.
  std::vector<int64_t> strides;     // In elements; every element lies within the storage.
  size_t entry = 0;                 // Its storage, an index into TorchFile::entries.
};

// A file of torch.save (zip format) with a state dict, mapped. Its structure is checked: every
// element of every tensor lies in an entry of the zip, and its size is the storage's. The data is
// not: see VerifyFile().
struct TorchFile {
  MappedFile file;
  std::vector<ZipEntry> entries;
  std::vector<StoredTensor> tensors;  // In the order of the dict.
};

// Errors, naming the file and the entry or tensor: those of MappedFile::Open(), INVALID_ARGUMENT.
absl::StatusOr<TorchFile> OpenTorchFile(const std::string& path);

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_CHECKPOINT_TORCH_FILE_H_
