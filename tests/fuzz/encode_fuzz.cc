// Encoding a text: decoding gives it back, the offsets cover it, and nothing becomes a control
// token.
#include "absl/strings/str_replace.h"
#include "common/utf8.h"
#include "tests/fuzz/fuzzing.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace llama;
  fuzzing::Input input(data, size);
  const uint8_t choice = input.Byte();
  const Tokenizer& tokenizer = fuzzing::GetTokenizer(choice & 1);
  const EncodeOptions options = {.add_bos = (choice & 2) != 0,
                                 .offsets = true,
                                 .offset_unit = static_cast<OffsetUnit>((choice >> 2) % 3)};
  const std::string text(input.rest());
  const auto encoding = tokenizer.EncodeText(text, options);
  if (static_cast<int64_t>(text.size()) > tokenizer.max_prompt_bytes()) {
    FUZZ_CHECK(!encoding.ok());
    return 0;
  }
  FUZZ_CHECK(encoding.ok());
  FUZZ_CHECK(encoding->rendered == text);
  FUZZ_CHECK(encoding->offsets.size() == encoding->ids.size());
  // SentencePiece's blank is a blank to it.
  const std::string readable = absl::StrReplaceAll(fuzzing::Repaired(text), {{kSpaceSymbol, " "}});
  FUZZ_CHECK(tokenizer.Decode(encoding->ids, false)->text == readable);
  int64_t covered = 0;
  int64_t begin = 0;
  for (size_t i = 0; i < encoding->ids.size(); ++i) {
    const PieceType type = tokenizer.vocabulary().piece(encoding->ids[i]).type;
    FUZZ_CHECK(type != PieceType::kControl || (i == 0 && options.add_bos));
    FUZZ_CHECK(type != PieceType::kUnknown);
    const Range& range = encoding->offsets[i];
    FUZZ_CHECK(range.begin <= covered && range.begin >= begin && range.begin <= range.end);
    begin = range.begin;
    covered = std::max(covered, range.end);
  }
  if (options.offset_unit == OffsetUnit::kByte) {
    FUZZ_CHECK(covered == static_cast<int64_t>(text.size()));
  }
  // The same ids, given as ids, stand for the same text.
  if (!encoding->ids.empty()) {
    const auto again = tokenizer.EncodeIds(encoding->ids, options);
    FUZZ_CHECK(again.ok() ? again->rendered == readable : readable.size() > 4096);
  }
  return 0;
}
