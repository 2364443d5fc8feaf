#ifndef LLAMA_COMMON_OPEN_REGULAR_FILE_H_
#define LLAMA_COMMON_OPEN_REGULAR_FILE_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace llama {

// A file descriptor with its owner.
class FileDescriptor {
 public:
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept;
  FileDescriptor& operator=(FileDescriptor&&) = delete;
  ~FileDescriptor();

  int get() const { return fd_; }

 private:
  int fd_;
};

struct RegularFile {
  FileDescriptor fd;
  int64_t size;  // Bytes, when it was opened.
};

// Opens for reading, without waiting. Errors, each naming the path: NOT_FOUND, PERMISSION_DENIED,
// FAILED_PRECONDITION (a directory, FIFO, device or socket), UNKNOWN.
absl::StatusOr<RegularFile> OpenRegularFile(const std::string& path);

}  // namespace llama

#endif  // LLAMA_COMMON_OPEN_REGULAR_FILE_H_
