#ifndef LLAMA_CLIENTS_CONSOLE_LINE_INPUT_H_
#define LLAMA_CLIENTS_CONSOLE_LINE_INPUT_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"

namespace llama {

// Lines of standard input: with line editing and history (libedit), or as they are, of which
// nothing is lost. One at a time in a process.
class LineInput {
 public:
  // `edit`: asks for editing, which needs a terminal on standard input and writes escapes.
  explicit LineInput(bool edit);
  ~LineInput();

  // Prints `prompt`, which may be bold, and reads a line, without its newline. Nullopt at the end
  // of the input. Errors: standard output cannot be written.
  absl::StatusOr<std::optional<std::string>> Read(const std::string& prompt);

 private:
  struct Editor;
  std::unique_ptr<Editor> editor_;  // Null if lines are read as they are.
};

}  // namespace llama

#endif  // LLAMA_CLIENTS_CONSOLE_LINE_INPUT_H_
