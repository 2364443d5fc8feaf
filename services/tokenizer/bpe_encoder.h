#ifndef LLAMA_SERVICES_TOKENIZER_BPE_ENCODER_H_
#define LLAMA_SERVICES_TOKENIZER_BPE_ENCODER_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "services/tokenizer/vocabulary.h"

namespace llama {

// `text` as the merger sees it: a blank in front if the vocabulary wants one, every blank as "▁",
// and U+FFFD for each byte that is not part of a character. Empty for an empty text.
std::string NormalizeText(const Vocabulary& vocabulary, absl::string_view text);

// A token and the stretch of the normalized text that it stands for. The tokens of a character that
// fell back to bytes all stand for the whole character.
struct TextToken {
  TokenId id = 0;
  size_t begin = 0;
  size_t end = 0;
};

// Byte-pair encoding (Sennrich et al., arXiv:1508.07909) as SentencePiece does it: starting from
// the characters, always merges the neighbours whose piece has the highest score, the leftmost
// first; what is then no piece of the vocabulary becomes bytes. Appends to `tokens`. Time: n log n.
// `normalized` is valid UTF-8, shorter than 2 GiB.
void EncodeBpe(const Vocabulary& vocabulary, absl::string_view normalized,
               std::vector<TextToken>& tokens);

}  // namespace llama

#endif  // LLAMA_SERVICES_TOKENIZER_BPE_ENCODER_H_
