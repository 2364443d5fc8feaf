#include "tests/support/zip_writer.h"

#include <zlib.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace llama {
namespace {

constexpr uint32_t kIn64 = 0xFFFFFFFF;

template <typename T>
std::string Bytes(T number) {
  return std::string(reinterpret_cast<const char*>(&number), sizeof number);
}
std::string Two(uint64_t number) { return Bytes(static_cast<uint16_t>(number)); }
std::string Four(uint64_t number) { return Bytes(static_cast<uint32_t>(number)); }
std::string Eight(uint64_t number) { return Bytes(number); }

uint32_t TrueCrc32(const std::string& data) {
  return static_cast<uint32_t>(
      crc32_z(0, reinterpret_cast<const Bytef*>(data.data()), data.size()));
}

std::string Field(absl::string_view id, const std::string& content) {
  return absl::StrCat(id, Two(content.size()), content);
}

std::string LocalEntry(const ZipPart& part, size_t begin) {
  const std::string name = part.local_name.value_or(part.name);
  const uint32_t crc = part.crc32.value_or(TrueCrc32(part.data));
  const uint64_t size = part.data.size();
  std::string extra;
  if (part.zip64 && !part.descriptor) {
    extra = Field(absl::string_view("\1\0", 2), Eight(size) + Eight(size));
  }
  const size_t unpadded = begin + 30 + name.size() + extra.size() + 4;
  const size_t padding = (part.alignment - unpadded % part.alignment) % part.alignment;
  extra += Field("FB", std::string(padding, 'Z'));
  const uint64_t stated = part.descriptor ? 0 : part.zip64 ? kIn64 : size;
  std::string bytes =
      absl::StrCat("PK\3\4", Two(0), Two(part.flags | (part.descriptor ? 8 : 0)), Two(part.method),
                   Four(0), Four(part.descriptor ? 0 : crc), Four(stated), Four(stated),
                   Two(name.size()), Two(extra.size()), name, extra, part.data);
  if (part.descriptor) {
    absl::StrAppend(&bytes, part.descriptor_signature ? "PK\7\10" : "",
                    Four(part.descriptor_crc32.value_or(crc)),
                    part.zip64 ? Eight(size) + Eight(size) : Four(size) + Four(size));
  }
  return bytes;
}

std::string DirectoryEntry(const ZipPart& part, size_t begin) {
  const uint32_t crc = part.crc32.value_or(TrueCrc32(part.data));
  const uint64_t size = part.directory_size.value_or(part.data.size());
  const uint64_t place = part.directory_begin.value_or(begin);
  std::string extra;
  if (part.zip64) {
    extra = Field(absl::string_view("\1\0", 2), Eight(size) + Eight(size) + Eight(place));
  }
  return absl::StrCat("PK\1\2", Two(0), Two(0), Two(part.flags | (part.descriptor ? 8 : 0)),
                      Two(part.method), Four(0), Four(crc), Four(part.zip64 ? kIn64 : size),
                      Four(part.zip64 ? kIn64 : size), Two(part.name.size()), Two(extra.size()),
                      Two(0), Two(0), Two(0), Four(0), Four(part.zip64 ? kIn64 : place), part.name,
                      extra);
}

}  // namespace

std::string WriteZip(const std::vector<ZipPart>& parts, const ZipOptions& options) {
  std::string file;
  std::string directory;
  for (const ZipPart& part : parts) {
    directory += DirectoryEntry(part, file.size());
    file += LocalEntry(part, file.size());
  }
  file += options.before_directory;
  const uint64_t begin = file.size() + static_cast<uint64_t>(options.more_directory_begin);
  const uint64_t size = directory.size() + static_cast<uint64_t>(options.more_directory_size);
  const uint64_t entries = parts.size() + static_cast<uint64_t>(options.more_entries);
  file += directory;
  const uint64_t end64 = file.size();
  if (options.zip64_end) {
    absl::StrAppend(&file, "PK\6\6", Eight(44), Two(0x31E), Two(45), Four(0), Four(0),
                    Eight(entries), Eight(entries), Eight(size), Eight(begin));
    absl::StrAppend(&file, "PK\6\7", Four(0), Eight(end64), Four(1));
  }
  absl::StrAppend(&file, "PK\5\6", Two(0), Two(0), Two(entries), Two(entries), Four(size),
                  Four(begin), Two(options.comment.size()), options.comment);
  return file;
}

}  // namespace llama
