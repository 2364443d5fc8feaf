// Decoding ids as a stream: however they are split, the text is the same, whole characters, and the
// ranges of the single ids cover it.
#include "tests/fuzz/fuzzing.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace llama;
  fuzzing::Input input(data, size);
  const uint8_t choice = input.Byte();
  const Tokenizer& tokenizer = fuzzing::GetTokenizer(choice & 1);
  const Vocabulary& vocabulary = tokenizer.vocabulary();
  const bool keep = (choice & 2) != 0;
  std::vector<TokenId> ids;
  std::vector<size_t> cuts;
  // 0xF0 cuts; what is below is a byte, or the piece of that id; what is above makes an id of any
  // piece with the byte that follows.
  while (!input.empty()) {
    const uint8_t byte = input.Byte();
    if (byte == 0xF0) {
      cuts.push_back(ids.size());
    } else if (byte < 0xF0 && (choice & 4) != 0) {
      ids.push_back(vocabulary.byte(byte));
    } else {
      const int id = byte < 0xF0 ? byte : (byte - 0xF1) << 8 | input.Byte();
      ids.push_back(static_cast<TokenId>(id) % static_cast<TokenId>(vocabulary.size()));
    }
  }
  cuts.push_back(ids.size());
  const auto whole = tokenizer.Decode(ids, keep);
  FUZZ_CHECK(whole.ok());
  FUZZ_CHECK(fuzzing::Repaired(whole->text) == whole->text);
  // Bytes on both sides of a control token are no character, though they stand side by side in raw.
  const bool has_control = std::any_of(ids.begin(), ids.end(), [&](TokenId id) {
    return vocabulary.piece(id).type == PieceType::kControl;
  });
  FUZZ_CHECK(has_control || fuzzing::Repaired(whole->raw) == whole->text);
  StreamDecoder parts(vocabulary, keep);
  DecodedText found;
  size_t begin = 0;
  for (const size_t end : cuts) {
    FUZZ_CHECK(parts.Push(std::span(ids).subspan(begin, end - begin), found).ok());
    FUZZ_CHECK(parts.held().size() <= 3);
    FUZZ_CHECK(found.raw + parts.held() ==
               whole->raw.substr(0, found.raw.size() + parts.held().size()));
    begin = end;
  }
  parts.Flush(found);
  FUZZ_CHECK(found.text == whole->text && found.raw == whole->raw);

  const auto encoding = tokenizer.EncodeIds(ids, {.offsets = true});
  if (!encoding.ok()) return 0;
  FUZZ_CHECK(encoding->ids == ids && encoding->offsets.size() == ids.size());
  int64_t covered = 0;
  for (const Range& range : encoding->offsets) {
    FUZZ_CHECK(range.begin <= covered && range.begin <= range.end && range.end >= covered);
    covered = range.end;
  }
  FUZZ_CHECK(covered == static_cast<int64_t>(encoding->rendered.size()));
  return 0;
}
