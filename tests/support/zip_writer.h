#ifndef LLAMA_TESTS_SUPPORT_ZIP_WRITER_H_
#define LLAMA_TESTS_SUPPORT_ZIP_WRITER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace llama {

// An entry of a zip file, and what may be odd about it. By default as torch.save writes it.
struct ZipPart {
  std::string name;
  std::string data;
  // Where the numbers of an entry stand: in a descriptor behind the data (flag 0x8), or in its
  // header; in zip64 fields, or not.
  bool descriptor = true;
  bool descriptor_signature = true;
  bool zip64 = false;
  size_t alignment = 64;  // Of the data, reached by padding in the extra field "FB".

  // Lies. What is not given is the truth.
  uint16_t method = 0;
  uint16_t flags = 0x800;  // Beside 0x8.
  std::optional<std::string> local_name = {};
  std::optional<uint32_t> crc32 = {};  // In the directory and in the descriptor or header.
  std::optional<uint32_t> descriptor_crc32 = {};  // There only.
  std::optional<uint64_t> directory_size = {};    // In the directory only.
  std::optional<uint64_t> directory_begin = {};   // Of the local header.
};

struct ZipOptions {
  bool zip64_end = true;
  std::string comment = {};
  std::string before_directory = {};
  // Added to what the end records say.
  int64_t more_entries = 0;
  int64_t more_directory_begin = 0;
  int64_t more_directory_size = 0;
};

// The bytes of a zip file with these entries.
std::string WriteZip(const std::vector<ZipPart>& parts, const ZipOptions& options = {});

}  // namespace llama

#endif  // LLAMA_TESTS_SUPPORT_ZIP_WRITER_H_
