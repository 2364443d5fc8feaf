#ifndef LLAMA_COMMON_MAPPED_FILE_H_
#define LLAMA_COMMON_MAPPED_FILE_H_

#include <cstddef>
#include <span>
#include <string>

#include "absl/status/statusor.h"

namespace llama {

// A regular file mapped read-only. The file must not change while it is mapped: replace it by
// renaming another one over it. Where it was cut short, reading ends the process (see
// mapping_faults.h). Thread-safe.
class MappedFile {
 public:
  // Errors: those of OpenRegularFile(), RESOURCE_EXHAUSTED (no address space or memory). An empty
  // file maps to an empty span.
  static absl::StatusOr<MappedFile> Open(const std::string& path);

  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  // Valid while the MappedFile, or the one it was moved to, lives.
  std::span<const std::byte> bytes() const { return bytes_; }
  const std::string& path() const { return path_; }

 private:
  MappedFile(std::string path, std::span<const std::byte> bytes);

  std::string path_;
  std::span<const std::byte> bytes_;
};

}  // namespace llama

#endif  // LLAMA_COMMON_MAPPED_FILE_H_
