#include "clients/console/line_input.h"

#include <histedit.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>

namespace llama {

struct LineInput::Editor {
  Editor() : edit(el_init("lnb-console", stdin, stdout, stderr)), past(history_init()) {
    HistEvent event;
    history(past, &event, H_SETSIZE, 200);
    el_set(edit, EL_CLIENTDATA, this);
    el_set(
        edit, EL_PROMPT, +[](EditLine* line) {
          Editor* self = nullptr;
          el_get(line, EL_CLIENTDATA, &self);
          return self->prompt.data();
        });
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

LineInput::LineInput() {
  if (isatty(STDIN_FILENO) != 0) editor_ = std::make_unique<Editor>();
}

LineInput::~LineInput() = default;

std::optional<std::string> LineInput::Read(const std::string& prompt) {
  std::string line;
  if (editor_ == nullptr) {
    std::fputs(prompt.c_str(), stdout);
    std::fflush(stdout);
    if (!std::getline(std::cin, line)) return std::nullopt;
    return line;
  }
  // What comes before the prompt's last line is printed as it is: the editor redraws one line.
  const size_t last = prompt.rfind('\n') + 1;
  std::fputs(prompt.substr(0, last).c_str(), stdout);
  std::fflush(stdout);
  editor_->prompt = prompt.substr(last);
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
