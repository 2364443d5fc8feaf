#ifndef LLAMA_CLIENTS_CONSOLE_ANNOTATE_H_
#define LLAMA_CLIENTS_CONSOLE_ANNOTATE_H_

#include <string>

#include "clients/console/marked_text.h"

namespace llama {

// A text that grows, as people see it: safe for a terminal and, if asked for, every character that
// came as byte tokens followed by its name and code. Parts of a sequence (joiners, skin tones,
// flags) count as one character.
class AnnotatedText {
 public:
  explicit AnnotatedText(bool names) : names_(names) {}

  // What is to be printed behind what was returned before. `text` is the same one every time, grown
  // at its end. A character that is to be named waits until the next one shows that it is whole, or
  // until `complete`.
  std::string Advance(const MarkedText& text, bool complete);

 private:
  const bool names_;
  size_t cluster_ = 0;  // Where the last character begins, which may grow.
  size_t printed_ = 0;  // Up to here the text itself was returned.
};

// All of it at once.
std::string Annotate(const MarkedText& text, bool names);

}  // namespace llama

#endif  // LLAMA_CLIENTS_CONSOLE_ANNOTATE_H_
