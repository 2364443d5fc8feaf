#ifndef LLAMA_TESTS_SUPPORT_TEMP_FOLDER_H_
#define LLAMA_TESTS_SUPPORT_TEMP_FOLDER_H_

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "gtest/gtest.h"

namespace llama {

// A new empty folder, removed with all that is in it.
class TempFolder {
 public:
  TempFolder() {
    path_ = testing::TempDir() + "llama.XXXXXX";
    EXPECT_NE(mkdtemp(path_.data()), nullptr) << path_;
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::string& path() const { return path_; }
  std::string Path(const std::string& name) const { return path_ + "/" + name; }
  // Returns the file's path.
  std::string Write(const std::string& name, const std::string& content) const {
    EXPECT_TRUE(std::ofstream(Path(name), std::ios::binary) << content) << name;
    return Path(name);
  }

 private:
  std::string path_;
};

}  // namespace llama

#endif  // LLAMA_TESTS_SUPPORT_TEMP_FOLDER_H_
