#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <string>

#include "common/mapped_file.h"
#include "common/mapping_faults.h"
#include "common/read_file.h"
#include "common/sha256.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/temp_folder.h"

namespace llama {
namespace {

using testing::HasSubstr;

class FilesTest : public testing::Test {
 protected:
  std::string Path(const std::string& name) const { return folder_.Path(name); }
  std::string Write(const std::string& name, const std::string& content) const {
    return folder_.Write(name, content);
  }

  const TempFolder folder_;
};

TEST_F(FilesTest, ReadingAndMappingGiveTheSameBytes) {
  const std::string content("a\0b\xFF\n", 5);
  const std::string path = Write("file", content);
  EXPECT_EQ(ReadFile(path, 5).value(), content);
  const MappedFile mapped = MappedFile::Open(path).value();
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(mapped.bytes().data()), 5), content);
  EXPECT_EQ(mapped.bytes().size(), 5u);
}

TEST_F(FilesTest, AMappingOutlivesMovesAndTheFilesName) {
  const std::string path = Write("file", "x");
  MappedFile first = MappedFile::Open(path).value();
  MappedFile second = std::move(first);
  first = MappedFile::Open(Write("other", "y")).value();
  std::filesystem::remove(path);
  EXPECT_EQ(second.bytes()[0], std::byte{'x'});
  second = std::move(first);
  EXPECT_EQ(second.bytes()[0], std::byte{'y'});
}

TEST_F(FilesTest, AnEmptyFileIsEmpty) {
  EXPECT_EQ(ReadFile(Write("file", ""), 0).value(), "");
  EXPECT_TRUE(MappedFile::Open(Path("file"))->bytes().empty());
}

TEST_F(FilesTest, ALargerFileThanAllowedIsRefusedWithBothSizes) {
  const absl::Status status = ReadFile(Write("file", "123456"), 5).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kOutOfRange);
  EXPECT_THAT(std::string(status.message()), HasSubstr("at most 5 bytes, found 6"));
}

TEST_F(FilesTest, WhatIsNotARegularFileIsRefusedByName) {
  ASSERT_EQ(mkfifo(Path("fifo").c_str(), 0600), 0);
  std::filesystem::create_symlink("loop", Path("loop"));
  for (const std::string& path :
       {Path("missing"), Path("fifo"), Path("loop"), folder_.path(), std::string("/dev/zero")}) {
    for (const absl::Status& status :
         {ReadFile(path, 100).status(), MappedFile::Open(path).status()}) {
      EXPECT_FALSE(status.ok());
      EXPECT_THAT(std::string(status.message()), HasSubstr(path));
    }
  }
}

// The examples of FIPS 180-4.
TEST(Sha256Test, MatchesTheStandard) {
  EXPECT_EQ(Sha256Hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

using FilesDeathTest = FilesTest;

TEST_F(FilesDeathTest, AMappedFileThatIsCutShortEndsTheProcessWithItsName) {
  const std::string path = Write("cut\n.pth", std::string(1 << 20, 'x'));
  const auto read_what_is_gone = [&] {
    ExitOnMappingFaults("the-program");
    const MappedFile other = MappedFile::Open(Write("other", "y")).value();
    const MappedFile mapped = MappedFile::Open(path).value();
    std::filesystem::resize_file(path, 4096);
    volatile std::byte sum = {};
    for (const std::byte byte : mapped.bytes()) sum = sum ^ byte;
  };
  EXPECT_EXIT(read_what_is_gone(), testing::ExitedWithCode(1),
              "the-program: .*cut.n.pth: a part of it that is in use cannot be read any more");
}

TEST_F(FilesDeathTest, AnyOtherBusErrorEndsTheProcessAsBefore) {
  const std::string path = Write("file", std::string(1 << 20, 'x'));
  const auto read_what_is_not_ours = [&] {
    ExitOnMappingFaults("the-program");
    const std::byte* gone = nullptr;
    {
      // Mapped by someone else; a mapping of ours was there before.
      const MappedFile mapped = MappedFile::Open(path).value();
      gone = mapped.bytes().data();
    }
    const int fd = open(path.c_str(), O_RDONLY);
    ASSERT_EQ(mmap(const_cast<std::byte*>(gone), 1 << 20, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0),
              gone);
    std::filesystem::resize_file(path, 0);
    volatile std::byte byte = *gone;
    (void)byte;
  };
#ifdef LNB_SANITIZED
  EXPECT_DEATH(read_what_is_not_ours(), "");
#else
  EXPECT_EXIT(read_what_is_not_ours(), testing::KilledBySignal(SIGBUS), "^$");
#endif
}

}  // namespace
}  // namespace llama
