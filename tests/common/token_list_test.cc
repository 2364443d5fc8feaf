#include "common/token_list.h"

#include <sys/resource.h>

#include <filesystem>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/temp_folder.h"

namespace llama {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

const char kOne[] = "0123456789abcdef-one";
const char kTwo[] = "0123456789abcdef.two~+/=";

// Lets no file be opened.
class NoDescriptors {
 public:
  NoDescriptors() {
    EXPECT_EQ(getrlimit(RLIMIT_NOFILE, &before_), 0);
    rlimit none = before_;
    none.rlim_cur = 0;
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  }
  ~NoDescriptors() { EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &before_), 0); }
  NoDescriptors(const NoDescriptors&) = delete;
  NoDescriptors& operator=(const NoDescriptors&) = delete;

 private:
  rlimit before_ = {};
};

// Keeps the messages in `errors`.
TokenList::OnError KeepIn(std::vector<std::string>& errors) {
  return [&errors](const absl::Status& status) { errors.emplace_back(status.message()); };
}

TEST(TokenListTest, ExactlyTheTokensOfTheFileAreAccepted) {
  const TempFolder folder;
  const std::string path =
      folder.Write("tokens", std::string("# comment\n\n  ") + kOne + " \r\n" + kTwo);
  const auto list = TokenList::Open(path).value();
  EXPECT_TRUE(list->Contains(kOne));
  EXPECT_TRUE(list->Contains(kTwo));
  for (const std::string& wrong :
       {std::string(), std::string(kOne).substr(1), std::string(kOne) + "x",
        std::string("# comment"), std::string(kOne) + "\n" + kTwo, std::string(1 << 20, 'x'),
        std::string(16, '\0')}) {
    EXPECT_FALSE(list->Contains(wrong));
  }
}

TEST(TokenListTest, AChangedFileCountsAndABrokenOneDoesNot) {
  const TempFolder folder;
  const std::string path = folder.Write("tokens", kOne);
  const auto list = TokenList::Open(path).value();
  folder.Write("next", kTwo);
  std::filesystem::rename(folder.Path("next"), path);
  EXPECT_TRUE(list->Contains(kTwo));
  EXPECT_FALSE(list->Contains(kOne));
  folder.Write("tokens", "short\n");
  EXPECT_TRUE(list->Contains(kTwo)) << "as it was";
  std::filesystem::remove(path);
  EXPECT_TRUE(list->Contains(kTwo));
}

TEST(TokenListTest, AFileThatCouldNotBeOpenedIsReadOnceItCan) {
  const TempFolder folder;
  std::vector<std::string> errors;
  const auto list = TokenList::Open(folder.Write("tokens", kOne), KeepIn(errors)).value();
  folder.Write("tokens", kTwo);
  {
    const NoDescriptors none;
    EXPECT_TRUE(list->Contains(kOne));
    EXPECT_TRUE(list->Contains(kOne));
  }
  EXPECT_FALSE(list->Contains(kOne)) << "revoked";
  EXPECT_TRUE(list->Contains(kTwo));
  EXPECT_THAT(errors, ElementsAre(HasSubstr("cannot open")));
}

TEST(TokenListTest, AChangeThatCannotBeReadIsToldOnce) {
  const TempFolder folder;
  std::vector<std::string> errors;
  const std::string path = folder.Write("tokens", kOne);
  const auto list = TokenList::Open(path, KeepIn(errors)).value();
  const auto look = [&] {
    EXPECT_TRUE(list->Contains(kOne));
    EXPECT_TRUE(list->Contains(kOne));
  };
  look();
  EXPECT_THAT(errors, ElementsAre());
  folder.Write("tokens", "short\n");
  look();
  EXPECT_THAT(errors, ElementsAre(HasSubstr("line 1")));
  std::filesystem::remove(path);
  look();
  EXPECT_THAT(errors, ElementsAre(HasSubstr("line 1"), HasSubstr("cannot open")));
  folder.Write("tokens", kOne);
  look();
  folder.Write("tokens", "short again\n");
  look();
  EXPECT_EQ(errors.size(), 3u);
}

TEST(TokenListTest, WrongFilesAreRefusedWithoutTheirContent) {
  const TempFolder folder;
  for (const std::string& content :
       {std::string(), std::string("# only\n"), std::string("secret"),
        std::string("secret with blanks in it, long enough"),
        std::string("secret\x01secret-secret-x"), std::string(5000, 's')}) {
    const absl::Status status = TokenList::Open(folder.Write("tokens", content)).status();
    ASSERT_FALSE(status.ok()) << content;
    EXPECT_THAT(std::string(status.message()), HasSubstr("tokens: "));
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr("secret")));
  }
  EXPECT_FALSE(TokenList::Open(folder.Path("nowhere")).ok());
}

TEST(TokenListTest, AClientHasOneToken) {
  const TempFolder folder;
  EXPECT_EQ(ReadToken(folder.Write("token", std::string(kOne) + "\n")).value(), kOne);
  const auto two = ReadToken(folder.Write("two", std::string(kOne) + "\n" + kTwo));
  EXPECT_THAT(std::string(two.status().message()), HasSubstr("expected one token, found 2"));
}

}  // namespace
}  // namespace llama
