#ifndef LLAMA_SERVICES_MODEL_CHECKPOINT_ZIP_DIRECTORY_H_
#define LLAMA_SERVICES_MODEL_CHECKPOINT_ZIP_DIRECTORY_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "absl/status/statusor.h"

namespace llama {

// Where the directory of a zip file lies, and how many entries it has.
struct ZipDirectory {
  uint64_t begin = 0;
  uint64_t size = 0;  // Bytes; begin + size lies within the file.
  uint64_t entries = 0;
};

// Reads the end record at the very end of the file, and the zip64 one before it where there is one.
// The directory must end where they begin. Errors: INVALID_ARGUMENT, starting with "zip: ".
absl::StatusOr<ZipDirectory> FindZipDirectory(std::span<const std::byte> file);

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_CHECKPOINT_ZIP_DIRECTORY_H_
