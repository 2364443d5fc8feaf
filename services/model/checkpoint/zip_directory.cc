#include "services/model/checkpoint/zip_directory.h"

#include "absl/strings/str_cat.h"
#include "services/model/checkpoint/bytes.h"

namespace llama {
namespace {

constexpr uint32_t kEnd = 0x06054b50;
constexpr uint32_t kEnd64 = 0x06064b50;
constexpr uint32_t kEnd64Locator = 0x07064b50;
constexpr size_t kEndBytes = 22;
constexpr size_t kEnd64Bytes = 56;
constexpr size_t kEnd64LocatorBytes = 20;
constexpr uint64_t kMaxEntries = 20'000;  // A model of 1024 layers has 9220 tensors.

constexpr uint32_t kIn64 = 0xFFFFFFFF;  // "See the zip64 end record."
constexpr uint16_t kEntriesIn64 = 0xFFFF;

absl::Status Refuse(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("zip: ", what));
}

}  // namespace

absl::StatusOr<ZipDirectory> FindZipDirectory(std::span<const std::byte> file) {
  if (file.size() < kEndBytes) return Refuse("too short to be a zip file");
  const size_t end = file.size() - kEndBytes;
  if (ReadNumber<uint32_t>(file, end) != kEnd) {
    return Refuse("no end record at the end of the file: truncated, or not a zip file");
  }
  if (ReadNumber<uint16_t>(file, end + 20) != 0) return Refuse("the end record has a comment");
  if (ReadNumber<uint16_t>(file, end + 4) != 0 || ReadNumber<uint16_t>(file, end + 6) != 0) {
    return Refuse("spread over several disks");
  }
  if (ReadNumber<uint16_t>(file, end + 8) != ReadNumber<uint16_t>(file, end + 10)) {
    return Refuse("the end record gives two numbers of entries");
  }
  ZipDirectory directory = {.begin = ReadNumber<uint32_t>(file, end + 16),
                            .size = ReadNumber<uint32_t>(file, end + 12),
                            .entries = ReadNumber<uint16_t>(file, end + 10)};
  size_t directory_end = end;
  if (end >= kEnd64LocatorBytes &&
      ReadNumber<uint32_t>(file, end - kEnd64LocatorBytes) == kEnd64Locator) {
    const size_t locator = end - kEnd64LocatorBytes;
    const auto end64 = ReadNumber<uint64_t>(file, locator + 8);
    if (locator < kEnd64Bytes || end64 != locator - kEnd64Bytes ||
        ReadNumber<uint32_t>(file, end64) != kEnd64 ||
        ReadNumber<uint64_t>(file, end64 + 4) != kEnd64Bytes - 12) {
      return Refuse("the zip64 end record is not where its locator says");
    }
    const ZipDirectory directory64 = {.begin = ReadNumber<uint64_t>(file, end64 + 48),
                                      .size = ReadNumber<uint64_t>(file, end64 + 40),
                                      .entries = ReadNumber<uint64_t>(file, end64 + 32)};
    if (ReadNumber<uint64_t>(file, end64 + 24) != directory64.entries ||
        ReadNumber<uint32_t>(file, end64 + 16) != 0 ||
        ReadNumber<uint32_t>(file, end64 + 20) != 0) {
      return Refuse("spread over several disks");
    }
    const auto agrees = [](uint64_t small, uint64_t in64, uint64_t large) {
      return small == in64 || small == large;
    };
    if (!agrees(directory.begin, kIn64, directory64.begin) ||
        !agrees(directory.size, kIn64, directory64.size) ||
        !agrees(directory.entries, kEntriesIn64, directory64.entries)) {
      return Refuse("the two end records disagree");
    }
    directory = directory64;
    directory_end = end64;
  }
  if (directory.size > directory_end || directory.begin != directory_end - directory.size) {
    return Refuse("the directory does not end where the end record begins");
  }
  if (directory.entries > kMaxEntries) {
    return Refuse(
        absl::StrCat("expected at most ", kMaxEntries, " entries, found ", directory.entries));
  }
  return directory;
}

}  // namespace llama
