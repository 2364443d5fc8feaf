#ifndef LLAMA_CLIENTS_CONSOLE_MARKED_TEXT_H_
#define LLAMA_CLIENTS_CONSOLE_MARKED_TEXT_H_

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "llama/v1/gateway_service.pb.h"

namespace llama {

// A reply's text, and which of its bytes belong to characters that came as byte tokens.
struct MarkedText {
  std::string text;
  std::vector<bool> from_byte_tokens;  // [text.size()]
};

// Whether a token's spelling is that of a byte, "<0xF0>".
bool IsByteToken(const v1::Token& token);

// Puts the deltas of one reply together. A delta's text need not be that of its tokens: text may
// wait for the rest of a character or of a stop sequence, and a chat's lacks its first blank; so
// the characters of the tokens are kept until the text has caught up with them.
class TextMarker {
 public:
  // Appends the delta's text to `reply`.
  void Push(const v1::Delta& delta, MarkedText& reply);

 private:
  struct Character {
    uint32_t value;
    bool from_byte_token;
  };
  void PushPiece(const std::string& piece, bool is_byte);
  bool TakeMark(uint32_t value);

  std::string partial_;                  // The beginning of a character.
  std::vector<bool> partial_from_byte_;  // [partial_.size()]
  std::deque<Character> characters_;     // Of tokens whose text has not come yet.
};

}  // namespace llama

#endif  // LLAMA_CLIENTS_CONSOLE_MARKED_TEXT_H_
