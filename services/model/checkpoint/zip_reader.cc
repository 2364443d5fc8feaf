#include "services/model/checkpoint/zip_reader.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/printable.h"
#include "common/status_macros.h"
#include "services/model/checkpoint/bytes.h"
#include "services/model/checkpoint/zip_directory.h"

namespace llama {
namespace {

using Bytes = std::span<const std::byte>;

constexpr uint32_t kLocalHeader = 0x04034b50;
constexpr uint32_t kDirectoryHeader = 0x02014b50;
constexpr uint32_t kDescriptor = 0x08074b50;

constexpr size_t kLocalHeaderBytes = 30;
constexpr size_t kDirectoryHeaderBytes = 46;

constexpr uint32_t kIn64 = 0xFFFFFFFF;  // "See the zip64 field."
constexpr uint16_t kDescriptorFlag = 0x8;
constexpr uint16_t kUtf8Flag = 0x800;
constexpr uint16_t kStored = 0;

constexpr size_t kMaxNameBytes = 512;

absl::Status Refuse(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("zip: ", what));
}

absl::Status RefuseEntry(absl::string_view name, absl::string_view what) {
  return Refuse(absl::StrCat("entry \"", Printable(name), "\": ", what));
}

absl::Status CheckName(absl::string_view name) {
  if (name.empty() || name.size() > kMaxNameBytes) {
    return RefuseEntry(name.substr(0, 64), absl::StrCat("expected a name of 1 to ", kMaxNameBytes,
                                                        " bytes, found ", name.size()));
  }
  for (const char c : name) {
    if (c < 0x20 || c > 0x7E || c == '\\' || c == ':') {
      return RefuseEntry(name, "its name has a character that is not allowed");
    }
  }
  if (absl::StartsWith(name, "/") || absl::EndsWith(name, "/") ||
      absl::StrContains(absl::StrCat("/", name, "/"), "/../") ||
      absl::StrContains(absl::StrCat("/", name, "/"), "/./") || absl::StrContains(name, "//")) {
    return RefuseEntry(name, "its name is not a plain relative path of a file");
  }
  return absl::OkStatus();
}

// The zip64 field (id 1) of an extra area; empty if there is none.
absl::StatusOr<Bytes> FindZip64(Bytes extra, absl::string_view name) {
  Bytes found;
  while (!extra.empty()) {
    // Padding up to three bytes is common.
    if (extra.size() < 4) break;
    const auto id = ReadNumber<uint16_t>(extra, 0);
    const size_t size = ReadNumber<uint16_t>(extra, 2);
    if (size > extra.size() - 4) return RefuseEntry(name, "its extra fields are damaged");
    if (id == 1) {
      if (!found.empty()) return RefuseEntry(name, "has two zip64 fields");
      found = extra.subspan(4, size);
    }
    extra = extra.subspan(4 + size);
  }
  return found;
}

// What a directory or local header says of an entry.
struct Header {
  uint16_t flags = 0;
  uint16_t method = 0;
  uint32_t crc32 = 0;
  uint64_t compressed = 0;
  uint64_t uncompressed = 0;
  uint64_t local_header = 0;  // Only in the directory.
};

// Replaces the numbers that are marked as being in the zip64 field, in the order of the format.
absl::Status Resolve64(Bytes zip64, absl::string_view name, Header& header, bool with_offset) {
  size_t at = 0;
  for (uint64_t* const number : {&header.uncompressed, &header.compressed, &header.local_header}) {
    if (number == &header.local_header && !with_offset) break;
    if (*number != kIn64) continue;
    if (zip64.size() < at + 8) return RefuseEntry(name, "its zip64 field is too short");
    *number = ReadNumber<uint64_t>(zip64, at);
    at += 8;
  }
  return absl::OkStatus();
}

// Where an entry lies: from its local header to the end of its data.
struct Extent {
  uint64_t begin;
  uint64_t end;
  size_t entry;
  bool has_descriptor;
};

// Checks the local header against the directory's, and sets the entry's data.
absl::StatusOr<Extent> ReadLocalHeader(Bytes file, uint64_t limit, const Header& header,
                                       ZipEntry& entry) {
  const uint64_t at = header.local_header;
  if (at > limit || limit - at < kLocalHeaderBytes ||
      ReadNumber<uint32_t>(file, at) != kLocalHeader) {
    return RefuseEntry(entry.name, "its local header is not where the directory says");
  }
  const uint64_t name_size = ReadNumber<uint16_t>(file, at + 26);
  const uint64_t extra_size = ReadNumber<uint16_t>(file, at + 28);
  const uint64_t data = at + kLocalHeaderBytes + name_size + extra_size;
  if (data > limit || header.uncompressed > limit - data) {
    return RefuseEntry(entry.name,
                       absl::StrCat("its ", header.uncompressed,
                                    " bytes of data reach past the directory or the end "
                                    "of the file"));
  }
  if (AsText(file.subspan(at + kLocalHeaderBytes, name_size)) != entry.name) {
    return RefuseEntry(entry.name, "its local header has another name");
  }
  Header local = {.flags = ReadNumber<uint16_t>(file, at + 6),
                  .method = ReadNumber<uint16_t>(file, at + 8),
                  .crc32 = ReadNumber<uint32_t>(file, at + 14),
                  .compressed = ReadNumber<uint32_t>(file, at + 18),
                  .uncompressed = ReadNumber<uint32_t>(file, at + 22)};
  ASSIGN_OR_RETURN(
      const Bytes zip64,
      FindZip64(file.subspan(at + kLocalHeaderBytes + name_size, extra_size), entry.name));
  if (local.uncompressed == kIn64 || local.compressed == kIn64) {
    RETURN_IF_ERROR(Resolve64(zip64, entry.name, local, false));
  }
  if (local.flags != header.flags || local.method != header.method) {
    return RefuseEntry(entry.name,
                       "its local header and the directory disagree on how it is stored");
  }
  // With a descriptor behind the data, a local header may leave its numbers 0.
  const bool left_out = (header.flags & kDescriptorFlag) != 0 && local.crc32 == 0 &&
                        local.compressed == 0 && local.uncompressed == 0;
  if (!left_out && (local.crc32 != header.crc32 || local.compressed != header.compressed ||
                    local.uncompressed != header.uncompressed)) {
    return RefuseEntry(entry.name, "its local header and the directory disagree on size or CRC");
  }
  entry.data = file.subspan(data, header.uncompressed);
  return Extent{at, data + header.uncompressed, 0, (header.flags & kDescriptorFlag) != 0};
}

// What lies between an entry's data and the next entry: its descriptor, or nothing. A descriptor
// may go without its signature, and has sizes of 4 or 8 bytes.
absl::Status CheckDescriptor(Bytes between, const ZipEntry& entry, bool has_descriptor) {
  const size_t size = between.size();
  const bool fits =
      has_descriptor ? size == 12 || size == 16 || size == 20 || size == 24 : size == 0;
  if (!fits) {
    return RefuseEntry(entry.name, absl::StrCat("is followed by ", size, " bytes that are none's"));
  }
  if (!has_descriptor) return absl::OkStatus();
  const bool has_signature = size % 8 == 0;
  const size_t at = has_signature ? 4 : 0;
  const bool wide = size > 16;
  const auto number = [&](size_t where) {
    return wide ? ReadNumber<uint64_t>(between, where) : ReadNumber<uint32_t>(between, where);
  };
  if ((has_signature && ReadNumber<uint32_t>(between, 0) != kDescriptor) ||
      ReadNumber<uint32_t>(between, at) != entry.crc32 || number(at + 4) != entry.data.size() ||
      number(at + (wide ? 12 : 8)) != entry.data.size()) {
    return RefuseEntry(entry.name, "its descriptor and the directory disagree on size or CRC");
  }
  return absl::OkStatus();
}

// Entries and their descriptors fill the file up to the directory, and none overlaps another: the
// file has one meaning only, and nothing hides in it. `extents` are in order.
absl::Status CheckNoGaps(Bytes file, uint64_t directory_begin, const std::vector<Extent>& extents,
                         const std::vector<ZipEntry>& entries) {
  if ((extents.empty() ? directory_begin : extents[0].begin) != 0) {
    return Refuse("does not begin with an entry");
  }
  for (size_t i = 0; i < extents.size(); ++i) {
    const ZipEntry& entry = entries[extents[i].entry];
    const uint64_t next = i + 1 < extents.size() ? extents[i + 1].begin : directory_begin;
    if (next < extents[i].end) {
      return RefuseEntry(entries[extents[i + 1].entry].name,
                         absl::StrCat("overlaps \"", entry.name, "\""));
    }
    RETURN_IF_ERROR(CheckDescriptor(file.subspan(extents[i].end, next - extents[i].end), entry,
                                    extents[i].has_descriptor));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<ZipEntry>> ReadZip(std::span<const std::byte> file) {
  ASSIGN_OR_RETURN(const ZipDirectory directory, FindZipDirectory(file));
  std::vector<ZipEntry> entries;
  std::vector<Extent> extents;
  absl::flat_hash_set<absl::string_view> names;  // In the file.
  const uint64_t end = directory.begin + directory.size;
  uint64_t at = directory.begin;
  for (uint64_t i = 0; i < directory.entries; ++i) {
    if (end - at < kDirectoryHeaderBytes || ReadNumber<uint32_t>(file, at) != kDirectoryHeader) {
      return Refuse(absl::StrCat("expected ", directory.entries, " directory entries, found ", i));
    }
    const uint64_t name_size = ReadNumber<uint16_t>(file, at + 28);
    const uint64_t extra_size = ReadNumber<uint16_t>(file, at + 30);
    const uint64_t comment_size = ReadNumber<uint16_t>(file, at + 32);
    const uint64_t size = kDirectoryHeaderBytes + name_size + extra_size + comment_size;
    if (end - at < size) return Refuse(absl::StrCat("directory entry ", i, " is cut short"));
    ZipEntry entry;
    const absl::string_view name = AsText(file.subspan(at + kDirectoryHeaderBytes, name_size));
    entry.name = std::string(name);
    RETURN_IF_ERROR(CheckName(entry.name));
    if (!names.insert(name).second) return RefuseEntry(entry.name, "stands there twice");
    Header header = {.flags = ReadNumber<uint16_t>(file, at + 8),
                     .method = ReadNumber<uint16_t>(file, at + 10),
                     .crc32 = ReadNumber<uint32_t>(file, at + 16),
                     .compressed = ReadNumber<uint32_t>(file, at + 20),
                     .uncompressed = ReadNumber<uint32_t>(file, at + 24),
                     .local_header = ReadNumber<uint32_t>(file, at + 42)};
    ASSIGN_OR_RETURN(
        const Bytes zip64,
        FindZip64(file.subspan(at + kDirectoryHeaderBytes + name_size, extra_size), entry.name));
    RETURN_IF_ERROR(Resolve64(zip64, entry.name, header, true));
    if (header.method != kStored) {
      return RefuseEntry(entry.name, absl::StrCat("expected stored data, found compression method ",
                                                  header.method));
    }
    if (header.compressed != header.uncompressed) {
      return RefuseEntry(entry.name,
                         absl::StrCat("expected stored data of one size, found ", header.compressed,
                                      " bytes that are ", header.uncompressed));
    }
    if ((header.flags & ~(kDescriptorFlag | kUtf8Flag)) != 0) {
      return RefuseEntry(entry.name, absl::StrCat("expected no flags but 0x8 and 0x800, found 0x",
                                                  absl::Hex(header.flags)));
    }
    ASSIGN_OR_RETURN(Extent extent, ReadLocalHeader(file, directory.begin, header, entry));
    entry.crc32 = header.crc32;
    extent.entry = entries.size();
    extents.push_back(extent);
    entries.push_back(std::move(entry));
    at += size;
  }
  if (at != end) return Refuse("the directory has more bytes than its entries");
  std::sort(extents.begin(), extents.end(),
            [](const Extent& a, const Extent& b) { return a.begin < b.begin; });
  RETURN_IF_ERROR(CheckNoGaps(file, directory.begin, extents, entries));
  return entries;
}

}  // namespace llama
