#ifndef LLAMA_SERVICES_MODEL_CHECKPOINT_ZIP_READER_H_
#define LLAMA_SERVICES_MODEL_CHECKPOINT_ZIP_READER_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace llama {

struct ZipEntry {
  std::string name;
  std::span<const std::byte> data;  // In the file.
  uint32_t crc32 = 0;               // As the directory states it; verified elsewhere.
};

// The entries of a zip file (PKWARE's APPNOTE 6.3.10, zip64 included) in the order of its
// directory. Strict: one end record, at the very end; one disk; entries stored, not compressed or
// encrypted; directory, local headers and descriptors agree; names unique, relative and clean; the
// entries disjoint, and nothing but entries before the directory. Checks structure only, not the
// CRCs. Errors: INVALID_ARGUMENT, naming the entry, what was expected and what was found. The spans
// are `file`'s.
absl::StatusOr<std::vector<ZipEntry>> ReadZip(std::span<const std::byte> file);

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_CHECKPOINT_ZIP_READER_H_
