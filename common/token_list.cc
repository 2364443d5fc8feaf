#include "common/token_list.h"

#include <openssl/crypto.h>
#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/read_file.h"
#include "common/sha256.h"
#include "common/status_macros.h"

namespace llama {
namespace {

constexpr int64_t kMaxFileBytes = int64_t{1} << 20;
constexpr size_t kMinTokenBytes = 16;
constexpr size_t kMaxTokenBytes = 4096;

bool IsToken(absl::string_view text) {
  return text.size() >= kMinTokenBytes && text.size() <= kMaxTokenBytes &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return absl::ascii_isalnum(c) || absl::string_view("-._~+/=").find(
                                                static_cast<char>(c)) != absl::string_view::npos;
         });
}

// What differs once the file has changed: the clock of files is too coarse to tell alone. Empty if
// there is none.
std::string StateOf(const std::string& path) {
  struct stat info = {};
  if (stat(path.c_str(), &info) != 0) return "";
  return absl::StrCat(info.st_ino, " ", info.st_size, " ", info.st_mtim.tv_sec, " ",
                      info.st_mtim.tv_nsec, " ", info.st_ctim.tv_sec, " ", info.st_ctim.tv_nsec);
}

absl::StatusOr<std::vector<std::string>> ReadTokens(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string file, ReadFile(path, kMaxFileBytes));
  std::vector<std::string> tokens;
  int number = 0;
  for (absl::string_view line : absl::StrSplit(file, '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line);
    if (line.empty() || line[0] == '#') continue;
    if (!IsToken(line)) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": line ", number, ": expected a token of ", kMinTokenBytes, " to ",
                       kMaxTokenBytes, " letters, digits and -._~+/=, found something else"));
    }
    tokens.emplace_back(line);
  }
  if (tokens.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": expected a token, found none"));
  }
  return tokens;
}

}  // namespace

absl::StatusOr<TokenList::Digests> TokenList::Read(const std::string& path) {
  ASSIGN_OR_RETURN(const std::vector<std::string> tokens, ReadTokens(path));
  Digests digests;
  for (const std::string& token : tokens) digests.push_back(Sha256Hex(token));
  return digests;
}

absl::StatusOr<std::unique_ptr<TokenList>> TokenList::Open(const std::string& path,
                                                           OnError on_error) {
  std::string state = StateOf(path);
  ASSIGN_OR_RETURN(Digests digests, Read(path));
  return std::unique_ptr<TokenList>(
      new TokenList(path, std::move(on_error), std::move(digests), std::move(state)));
}

bool TokenList::Contains(absl::string_view token) {
  // Digests have one length and tell nothing of how the token begins; all are compared, always.
  const std::string digest = Sha256Hex(token);
  std::string state = StateOf(path_);
  MutexLock lock(&mutex_);
  if (state != read_) {
    absl::StatusOr<Digests> digests = Read(path_);
    if (!digests.ok() && state != seen_) on_error_(digests.status());
    // What is wrong stays so until it changes; what could not be read may be readable next time.
    if (digests.ok() || absl::IsInvalidArgument(digests.status())) read_ = state;
    if (digests.ok()) digests_ = *std::move(digests);
  }
  seen_ = std::move(state);
  int found = 0;
  for (const std::string& accepted : digests_) {
    found |= CRYPTO_memcmp(accepted.data(), digest.data(), digest.size()) == 0 ? 1 : 0;
  }
  return found != 0;
}

absl::StatusOr<std::string> ReadToken(const std::string& path) {
  ASSIGN_OR_RETURN(const std::vector<std::string> tokens, ReadTokens(path));
  if (tokens.size() != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": expected one token, found ", tokens.size()));
  }
  return tokens[0];
}

}  // namespace llama
