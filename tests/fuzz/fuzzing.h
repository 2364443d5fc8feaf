#ifndef LLAMA_TESTS_FUZZ_FUZZING_H_
#define LLAMA_TESTS_FUZZ_FUZZING_H_

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <span>
#include <string>

#include "absl/strings/string_view.h"
#include "services/tokenizer/tokenizer.h"

// A property that must hold for any input. Libfuzzer keeps the input that breaks it.
#define FUZZ_CHECK(condition)                                                          \
  do {                                                                                 \
    if (!(condition)) {                                                                \
      std::cerr << __FILE__ << ":" << __LINE__ << ": does not hold: " #condition "\n"; \
      std::abort();                                                                    \
    }                                                                                  \
  } while (false)

namespace llama::fuzzing {

// Cuts an input up: choices come first, a byte each, and what is left is text.
class Input {
 public:
  Input(const uint8_t* data, size_t size) : text_(reinterpret_cast<const char*>(data), size) {}

  // 0 to 255; 0 when the input is used up.
  uint8_t Byte() {
    if (text_.empty()) return 0;
    const auto byte = static_cast<uint8_t>(text_[0]);
    text_.remove_prefix(1);
    return byte;
  }
  bool Bool() { return (Byte() & 1) != 0; }
  absl::string_view Take(size_t most) {
    const absl::string_view taken = text_.substr(0, most);
    text_.remove_prefix(taken.size());
    return taken;
  }
  // Up to the separator, which is dropped; all of it if there is none.
  absl::string_view TakeUntil(absl::string_view separator) {
    const size_t at = std::min(text_.find(separator), text_.size());
    const absl::string_view taken = Take(at);
    text_.remove_prefix(std::min(separator.size(), text_.size()));
    return taken;
  }
  absl::string_view rest() const { return text_; }
  bool empty() const { return text_.empty(); }

 private:
  absl::string_view text_;
};

inline std::span<const std::byte> AsBytes(absl::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

// 0: the vocabulary of stories260K; 1: one with unused and user-defined pieces.
const Tokenizer& GetTokenizer(int which);

// `text` with U+FFFD for each byte that is not part of a character.
std::string Repaired(absl::string_view text);

}  // namespace llama::fuzzing

#endif  // LLAMA_TESTS_FUZZ_FUZZING_H_
