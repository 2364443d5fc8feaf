#ifndef LLAMA_COMMON_TOKEN_LIST_H_
#define LLAMA_COMMON_TOKEN_LIST_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/mutex.h"

namespace llama {

// The bearer tokens of a file, a token a line (RFC 6750: letters, digits and "-._~+/="; at least 16
// of them), read again when the file changes. Blank lines and those that start with '#' are
// skipped. Only digests of them are kept. Thread-safe.
class TokenList {
 public:
  // Errors name the file and the line, never the token: those of ReadFile(), INVALID_ARGUMENT.
  static absl::StatusOr<std::unique_ptr<TokenList>> Open(const std::string& path);

  // Whether `token` is one of them. The time does not tell how much of it is right, or which it is.
  // A file that has become unreadable leaves the list as it was.
  bool Contains(absl::string_view token);

 private:
  using Digests = std::vector<std::string>;

  TokenList(std::string path, Digests digests, std::string state)
      : path_(std::move(path)), digests_(std::move(digests)), state_(std::move(state)) {}

  static absl::StatusOr<Digests> Read(const std::string& path);

  const std::string path_;
  Mutex mutex_;
  Digests digests_ ABSL_GUARDED_BY(mutex_);
  std::string state_ ABSL_GUARDED_BY(mutex_);  // Of the file when it was read.
};

// The one token of a client's file.
absl::StatusOr<std::string> ReadToken(const std::string& path);

}  // namespace llama

#endif  // LLAMA_COMMON_TOKEN_LIST_H_
