#ifndef LLAMA_COMMON_TOKEN_LIST_H_
#define LLAMA_COMMON_TOKEN_LIST_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/mutex.h"

namespace llama {

// The bearer tokens of a file, a token a line (RFC 6750: letters, digits and "-._~+/="; at least 16
// of them), read again when the file changes. Blank lines and those that start with '#' are
// skipped. Only digests of them are kept. Thread-safe.
class TokenList {
 public:
  using OnError = std::function<void(const absl::Status&)>;

  // Errors name the file and the line, never the token: those of ReadFile(), INVALID_ARGUMENT.
  // `on_error` is told of them once for each change that cannot be read. It is called within
  // Contains(), one call at a time, and must not use the list.
  static absl::StatusOr<std::unique_ptr<TokenList>> Open(
      const std::string& path, OnError on_error = [](const absl::Status&) {});

  // Whether `token` is one of them. The time does not tell how much of it is right, or which it is.
  // A file that has become unreadable leaves the list as it was, until it can be read.
  bool Contains(absl::string_view token);

 private:
  using Digests = std::vector<std::string>;

  TokenList(std::string path, OnError on_error, Digests digests, std::string state)
      : path_(std::move(path)),
        on_error_(std::move(on_error)),
        digests_(std::move(digests)),
        read_(state),
        seen_(std::move(state)) {}

  static absl::StatusOr<Digests> Read(const std::string& path);

  const std::string path_;
  const OnError on_error_;
  Mutex mutex_;
  Digests digests_ ABSL_GUARDED_BY(mutex_);
  std::string read_ ABSL_GUARDED_BY(mutex_);  // The file's state when it was read, right or wrong.
  std::string seen_ ABSL_GUARDED_BY(mutex_);  // The last one looked at.
};

// The one token of a client's file.
absl::StatusOr<std::string> ReadToken(const std::string& path);

}  // namespace llama

#endif  // LLAMA_COMMON_TOKEN_LIST_H_
