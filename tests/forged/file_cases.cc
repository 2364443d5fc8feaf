#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/forged/cases.h"
#include "tests/support/vocabulary_writer.h"

namespace llama::forged {
namespace {

// What stands in the place of a file.
struct Stand {
  const char* name;
  void (*make)(const char* path);
  const char* expected;
};

void MakeSparse(const char* path, off_t size) {
  const int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  EXPECT_EQ(ftruncate(fd, size), 0) << path;
  close(fd);
}

const std::vector<Stand>& Stands() {
  static const auto& stands = *new std::vector<Stand>{
      {"missing", [](const char*) {}, "cannot open"},
      {"empty", [](const char* path) { MakeSparse(path, 0); }, ": "},
      {"fifo", [](const char* path) { EXPECT_EQ(mkfifo(path, 0600), 0); },
       "expected a regular file, found a special file"},
      {"folder", [](const char* path) { EXPECT_EQ(mkdir(path, 0700), 0); },
       "expected a regular file, found a directory"},
      {"device_zero", [](const char* path) { EXPECT_EQ(symlink("/dev/zero", path), 0); },
       "expected a regular file, found a special file"},
      {"device_null", [](const char* path) { EXPECT_EQ(symlink("/dev/null", path), 0); },
       "expected a regular file, found a special file"},
      {"device_random", [](const char* path) { EXPECT_EQ(symlink("/dev/random", path), 0); },
       "expected a regular file, found a special file"},
      {"link_to_itself", [](const char* path) { EXPECT_EQ(symlink(path, path), 0); },
       "cannot open"},
      {"link_to_nothing", [](const char* path) { EXPECT_EQ(symlink("nowhere", path), 0); },
       "cannot open"},
      {"link_to_the_folder", [](const char* path) { EXPECT_EQ(symlink(".", path), 0); },
       "expected a regular file, found a directory"},
      {"socket",
       [](const char* path) {
         sockaddr_un address = {};
         address.sun_family = AF_UNIX;
         std::strncpy(address.sun_path, path, sizeof address.sun_path - 1);
         const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
         EXPECT_EQ(bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0)
             << path;
         close(fd);
       },
       "cannot open"},
      {"sparse_16_gib", [](const char* path) { MakeSparse(path, off_t{16} << 30); }, ": "},
      {"one_byte", [](const char* path) { MakeSparse(path, 1); }, ": "}};
  return stands;
}

}  // namespace

std::vector<Case> FileCases() {
  std::vector<Case> cases;
  const auto write_all_but = [](const std::string& folder, const std::string& left_out) {
    if (left_out != kParams) WriteFile(folder, kParams, TinyParams(SmallModel()));
    if (left_out != kWeights) WriteFile(folder, kWeights, SmallParts().Write());
    if (left_out != kTokenizer) {
      WriteFile(folder, kTokenizer, MinimalVocabulary().SerializeAsString());
    }
  };
  cases.push_back({"file_good_model", Reader::kModel, {}, [=](const std::string& folder) {
                     write_all_but(folder, "");
                   }});
  cases.push_back({"file_good_link", Reader::kModel, {}, [=](const std::string& folder) {
                     write_all_but(folder, kWeights);
                     WriteFile(folder, "blob", SmallParts().Write());
                     EXPECT_EQ(symlink("blob", absl::StrCat(folder, "/", kWeights).c_str()), 0);
                   }});
  for (const std::string file : {kParams, kWeights, kTokenizer}) {
    for (const Stand& stand : Stands()) {
      std::string expected = stand.expected;
      if (file == kTokenizer && std::string(stand.name) == "empty") expected = "pieces, found 0";
      cases.push_back({absl::StrCat("file_", file.substr(0, file.find('.')), "_", stand.name),
                       file == kTokenizer ? Reader::kTokenizer : Reader::kModel,
                       {file, expected},
                       [=](const std::string& folder) {
                         write_all_but(folder, file);
                         stand.make(absl::StrCat(folder, "/", file).c_str());
                       }});
    }
  }
  return cases;
}

}  // namespace llama::forged
