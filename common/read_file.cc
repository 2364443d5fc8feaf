#include "common/read_file.h"

#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "common/open_regular_file.h"
#include "common/status_macros.h"

namespace llama {

absl::StatusOr<std::string> ReadFile(const std::string& path, int64_t max_bytes) {
  ASSIGN_OR_RETURN(const RegularFile file, OpenRegularFile(path));
  if (file.size > max_bytes) {
    return absl::OutOfRangeError(
        absl::StrCat(path, ": expected at most ", max_bytes, " bytes, found ", file.size));
  }
  std::string content(static_cast<size_t>(file.size), '\0');
  size_t done = 0;
  while (done < content.size()) {
    const ssize_t got = read(file.fd.get(), content.data() + done, content.size() - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", path));
    if (got == 0) {
      return absl::UnknownError(absl::StrCat(path, ": shrank while it was read, from ",
                                             content.size(), " to ", done, " bytes"));
    }
    done += static_cast<size_t>(got);
  }
  return content;
}

}  // namespace llama
