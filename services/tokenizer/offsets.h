#ifndef LLAMA_SERVICES_TOKENIZER_OFFSETS_H_
#define LLAMA_SERVICES_TOKENIZER_OFFSETS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"
#include "services/tokenizer/bpe_encoder.h"

namespace llama {

enum class OffsetUnit { kByte, kCodePoint, kUtf16 };

// A half-open range.
struct Range {
  int64_t begin = 0;
  int64_t end = 0;
};

// Where the tokens of one encoded text lie in that text, in bytes: the dummy blank in front has no
// place of its own there. `tokens` are in order and refer to NormalizeText(text).
std::vector<Range> ByteRanges(absl::string_view text, bool add_dummy_prefix,
                              const std::vector<TextToken>& tokens);

// Turns ascending byte ranges of `text` into ranges of another unit, in place. Bytes that are not
// part of a character count as one code point each.
void ConvertRanges(absl::string_view text, OffsetUnit unit, std::vector<Range>& ranges);

}  // namespace llama

#endif  // LLAMA_SERVICES_TOKENIZER_OFFSETS_H_
