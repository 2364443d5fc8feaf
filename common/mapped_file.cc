#include "common/mapped_file.h"

#include <sys/mman.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/mapping_faults.h"
#include "common/open_regular_file.h"
#include "common/status_macros.h"

namespace llama {

absl::StatusOr<MappedFile> MappedFile::Open(const std::string& path) {
  ASSIGN_OR_RETURN(const RegularFile file, OpenRegularFile(path));
  if (file.size == 0) return MappedFile(path, {});
  const auto size = static_cast<size_t>(file.size);
  void* const address = mmap(nullptr, size, PROT_READ, MAP_SHARED, file.fd.get(), 0);
  if (address == MAP_FAILED) return absl::ErrnoToStatus(errno, absl::StrCat("cannot map ", path));
  const std::span<const std::byte> bytes(static_cast<const std::byte*>(address), size);
  // Where the file system can, what is read from the disk from now on comes in huge pages, which
  // cost fewer faults and translations. Pages that are in memory already stay as they are.
  madvise(address, size, MADV_HUGEPAGE);
  AddMapping(bytes, path);
  return MappedFile(path, bytes);
}

MappedFile::MappedFile(std::string path, std::span<const std::byte> bytes)
    : path_(std::move(path)), bytes_(bytes) {}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)), bytes_(std::exchange(other.bytes_, {})) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

MappedFile::~MappedFile() {
  if (bytes_.empty()) return;
  RemoveMapping(bytes_);
  munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

}  // namespace llama
