#ifndef LLAMA_CLIENTS_CONSOLE_LINE_INPUT_H_
#define LLAMA_CLIENTS_CONSOLE_LINE_INPUT_H_

#include <memory>
#include <optional>
#include <string>

namespace llama {

// Lines of standard input: with line editing and history (libedit) where it is a terminal, as they
// are otherwise. One at a time in a process.
class LineInput {
 public:
  LineInput();
  ~LineInput();

  // Prints `prompt` and reads a line, without its newline. Nullopt at the end of the input.
  std::optional<std::string> Read(const std::string& prompt);

 private:
  struct Editor;
  std::unique_ptr<Editor> editor_;  // Null without a terminal.
};

}  // namespace llama

#endif  // LLAMA_CLIENTS_CONSOLE_LINE_INPUT_H_
