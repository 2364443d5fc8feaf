#include "clients/console/line_input.h"

#include <histedit.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>

#include "absl/strings/str_replace.h"
#include "clients/console/terminal.h"
#include "common/status_macros.h"

namespace llama {
namespace {

constexpr int kHistoryLines = 200;
// Stands around escapes in a prompt, so that libedit does not count them as columns.
constexpr char kEscape = '\1';

std::string MarkEscapes(const std::string& prompt) {
  return absl::StrReplaceAll(prompt, {{"\x1b[1m", "\1\x1b[1m\1"}, {"\x1b[0m", "\1\x1b[0m\1"}});
}

}  // namespace

struct LineInput::Editor {
  Editor() : edit(el_init("lnb-console", stdin, stdout, stderr)), past(history_init()) {
    HistEvent event;
    history(past, &event, H_SETSIZE, kHistoryLines);
    el_set(edit, EL_CLIENTDATA, this);
    const auto prompt_of = +[](EditLine* line) {
      Editor* self = nullptr;
      el_get(line, EL_CLIENTDATA, &self);
      return self->prompt.data();
    };
    el_set(edit, EL_PROMPT_ESC, prompt_of, kEscape);
    el_set(edit, EL_EDITOR, "emacs");
    el_set(edit, EL_HIST, history, past);
  }
  ~Editor() {
    history_end(past);
    el_end(edit);
  }

  EditLine* const edit;
  History* const past;
  std::string prompt;
};

LineInput::LineInput(bool edit) {
  if (edit && isatty(STDIN_FILENO) != 0) editor_ = std::make_unique<Editor>();
}

LineInput::~LineInput() = default;

absl::StatusOr<std::optional<std::string>> LineInput::Read(const std::string& prompt) {
  std::string line;
  if (editor_ == nullptr) {
    RETURN_IF_ERROR(WriteOut(prompt));
    if (!std::getline(std::cin, line)) return std::nullopt;
    return line;
  }
  // What comes before the prompt's last line is printed as it is: the editor redraws one line.
  const size_t last = prompt.rfind('\n') + 1;
  RETURN_IF_ERROR(WriteOut(prompt.substr(0, last)));
  editor_->prompt = MarkEscapes(prompt.substr(last));
  el_resize(editor_->edit);  // The window may have changed since.
  int count = 0;
  const char* const text = el_gets(editor_->edit, &count);
  if (text == nullptr || count <= 0) return std::nullopt;
  line.assign(text, static_cast<size_t>(count));
  if (line.back() == '\n') line.pop_back();
  HistEvent event;
  if (!line.empty()) history(editor_->past, &event, H_ENTER, line.c_str());
  return line;
}

}  // namespace llama
