#ifndef LLAMA_SERVICES_TOKENIZER_STREAM_DECODER_H_
#define LLAMA_SERVICES_TOKENIZER_STREAM_DECODER_H_

#include <span>
#include <string>

#include "absl/status/status.h"
#include "services/tokenizer/vocabulary.h"

namespace llama {

// What tokens stand for.
struct DecodedText {
  std::string text;  // Valid UTF-8: U+FFFD for each byte that is not part of a character.
  std::string raw;   // The same, byte for byte.
};

// Turns the tokens of one text, as they come, into whole characters, as SentencePiece decodes the
// whole: runs of byte tokens are characters if they can be, and the first token that has text loses
// one leading blank, if encoding puts one there. However the tokens are split into calls, the texts
// put together are the same. Thread-compatible.
class StreamDecoder {
 public:
  // The vocabulary must outlive the decoder.
  StreamDecoder(const Vocabulary& vocabulary, bool keep_leading_space)
      : vocabulary_(vocabulary),
        drop_blank_(!keep_leading_space && vocabulary.add_dummy_prefix()) {}

  // Appends what `ids` complete to `out`. Errors: OUT_OF_RANGE (TOKEN_ID); the ids before it are
  // decoded then.
  absl::Status Push(std::span<const TokenId> ids, DecodedText& out);
  // Appends what is left at the end of the text.
  void Flush(DecodedText& out);
  // The bytes that wait for the rest of their character: at most 3.
  const std::string& held() const { return held_; }

 private:
  void PushByte(char byte, DecodedText& out);

  const Vocabulary& vocabulary_;
  bool drop_blank_;  // Nothing has come yet, and a blank at the start is not to be kept.
  std::string held_;
};

}  // namespace llama

#endif  // LLAMA_SERVICES_TOKENIZER_STREAM_DECODER_H_
