#include "services/model/checkpoint/zip_reader.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/zip_writer.h"

namespace llama {
namespace {

using testing::HasSubstr;
using namespace std::string_literals;

absl::StatusOr<std::vector<ZipEntry>> Read(const std::string& file) {
  return ReadZip(std::as_bytes(std::span(file)));
}

std::string Message(const std::string& file) {
  const auto entries = Read(file);
  EXPECT_FALSE(entries.ok());
  EXPECT_EQ(entries.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(entries.status().message());
}

ZipPart A() { return {.name = "x/a", .data = "alpha"}; }
ZipPart B() { return {.name = "x/b", .data = std::string(100, 'b')}; }

TEST(ZipReaderTest, EveryWayOfWritingAStoredEntryIsRead) {
  for (const bool zip64_end : {false, true}) {
    for (const bool zip64 : {false, true}) {
      for (const bool descriptor : {false, true}) {
        for (const bool signature : {false, true}) {
          for (const size_t alignment : {1, 64}) {
            ZipPart a = A();
            a.zip64 = zip64;
            a.descriptor = descriptor;
            a.descriptor_signature = signature;
            a.alignment = alignment;
            const std::string file = WriteZip({a, B()}, {.zip64_end = zip64_end});
            const auto entries = Read(file);
            ASSERT_TRUE(entries.ok()) << entries.status();
            ASSERT_EQ(entries->size(), 2u);
            EXPECT_EQ((*entries)[0].name, "x/a");
            const auto data = (*entries)[0].data;
            EXPECT_EQ(std::string(reinterpret_cast<const char*>(data.data()), data.size()),
                      "alpha");
            EXPECT_EQ((*entries)[0].crc32, 0xD0E0396AU);
            EXPECT_EQ((*entries)[1].data.size(), 100u);
          }
        }
      }
    }
  }
}

TEST(ZipReaderTest, EveryCutIsRefused) {
  for (const bool zip64 : {false, true}) {
    ZipPart a = A();
    a.zip64 = zip64;
    const std::string file = WriteZip({a, B()}, {.zip64_end = zip64});
    for (size_t size = 0; size < file.size(); ++size) Message(file.substr(0, size));
    for (size_t begin = 1; begin < file.size(); ++begin) Message(file.substr(begin));
  }
}

TEST(ZipReaderTest, CompressedAndEncryptedEntriesAreRefused) {
  ZipPart a = A();
  a.method = 8;
  EXPECT_THAT(Message(WriteZip({a, B()})), HasSubstr("x/a\": expected stored data, found"));
  a = A();
  a.flags |= 1;
  EXPECT_THAT(Message(WriteZip({a, B()})), HasSubstr("x/a\": expected no flags but"));
}

TEST(ZipReaderTest, NamesThatAreNoPlainPathsAreRefusedAndEscaped) {
  for (const std::string& name :
       {"../a"s, "x/../../a"s, "/etc/passwd"s, "x/.."s, "./a"s, "x//a"s, "x/"s, ""s, "x\\a"s,
        "C:a"s, "a\0b"s, "a\nb"s, "\x1b[31m"s, "\xFF"s, std::string(600, 'n')}) {
    ZipPart a = A();
    a.name = name;
    const std::string message = Message(WriteZip({a}));
    for (const char c : message) ASSERT_GE(static_cast<unsigned char>(c), 0x20) << message;
  }
}

TEST(ZipReaderTest, DoubledNamesAreRefused) {
  EXPECT_THAT(Message(WriteZip({A(), B(), A()})), HasSubstr("x/a\": stands there twice"));
}

TEST(ZipReaderTest, HeadersThatDisagreeAreRefused) {
  ZipPart a = A();
  a.local_name = "x/c";
  EXPECT_THAT(Message(WriteZip({a, B()})), HasSubstr("x/a\": its local header has another name"));
  for (const bool zip64 : {false, true}) {
    for (const uint64_t size : {uint64_t{0}, uint64_t{4}, uint64_t{6}, uint64_t{1} << 31}) {
      for (const bool descriptor : {false, true}) {
        a = A();
        a.zip64 = zip64;
        a.descriptor = descriptor;
        a.directory_size = size;
        EXPECT_THAT(Message(WriteZip({a, B()})), HasSubstr("x/a\": "));
      }
    }
  }
  a = A();
  a.descriptor_crc32 = 1;
  EXPECT_THAT(Message(WriteZip({a, B()})), HasSubstr("x/a\": its descriptor and the directory"));
}

TEST(ZipReaderTest, SizesAndPlacesBeyondTheFileAreRefused) {
  for (const uint64_t number : {uint64_t{1} << 20, uint64_t{1} << 32, uint64_t{1} << 63,
                                ~uint64_t{0}, ~uint64_t{0} - 29, ~uint64_t{0} - 100}) {
    ZipPart a = A();
    a.zip64 = true;
    a.directory_size = number;
    Message(WriteZip({a, B()}));
    a = A();
    a.zip64 = true;
    a.directory_begin = number;
    EXPECT_THAT(Message(WriteZip({a, B()})), HasSubstr("its local header is not where"));
  }
}

TEST(ZipReaderTest, EntriesThatShareBytesAreRefused) {
  ZipPart first = A();
  first.local_name = "x/b";
  ZipPart second = B();
  second.directory_begin = 0;
  Message(WriteZip({first, second}));
  // A whole entry within the data of another.
  ZipPart outer = B();
  outer.descriptor = false;
  outer.data = WriteZip({A()});
  ZipPart inner = A();
  inner.directory_begin = 64;
  EXPECT_THAT(Message(WriteZip({outer, inner})), HasSubstr("overlaps"));
}

TEST(ZipReaderTest, BytesThatBelongToNoEntryAreRefused) {
  EXPECT_THAT(Message(WriteZip({A(), B()}, {.before_directory = "hidden"})),
              HasSubstr("x/b\": is followed by"));
  EXPECT_THAT(Message(WriteZip({}, {.before_directory = "hidden"})),
              HasSubstr("does not begin with an entry"));
  const std::string file = WriteZip({A(), B()});
  Message("junk" + file);
  Message(file + "junk");
  Message(file + file);
}

TEST(ZipReaderTest, TwoEndRecordsAreRefused) {
  const std::string file = WriteZip({A()}, {.zip64_end = false});
  Message(file + file.substr(file.size() - 22));
  Message(WriteZip({A()}, {.comment = file.substr(file.size() - 22)}));
  EXPECT_THAT(Message(WriteZip({A()}, {.comment = "PK"})), HasSubstr("zip: "));
}

TEST(ZipReaderTest, EndRecordsThatDoNotFitTheDirectoryAreRefused) {
  for (const bool zip64_end : {false, true}) {
    for (const int64_t more : {-1, 1, 46, 1 << 15}) {
      Message(WriteZip({A(), B()}, {.zip64_end = zip64_end, .more_entries = more}));
      Message(WriteZip({A(), B()}, {.zip64_end = zip64_end, .more_directory_begin = more}));
      Message(WriteZip({A(), B()}, {.zip64_end = zip64_end, .more_directory_size = more}));
    }
  }
  EXPECT_THAT(Message(WriteZip({A()}, {.more_entries = int64_t{1} << 48})), HasSubstr("zip: "));
}

}  // namespace
}  // namespace llama
