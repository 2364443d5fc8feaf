// tokenizer.model: whatever is accepted encodes and decodes.
#include "services/tokenizer/bpe_encoder.h"
#include "services/tokenizer/stream_decoder.h"
#include "services/tokenizer/vocabulary.h"
#include "tests/fuzz/fuzzing.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace llama;
  const auto parsed =
      Vocabulary::Parse({reinterpret_cast<const char*>(data), size}, "tokenizer.model");
  if (!parsed.ok()) {
    FUZZ_CHECK(absl::IsInvalidArgument(parsed.status()));
    FUZZ_CHECK(parsed.status().message().substr(0, 17) == "tokenizer.model: ");
    return 0;
  }
  const Vocabulary& vocabulary = **parsed;
  FUZZ_CHECK(vocabulary.piece(vocabulary.bos()).type == PieceType::kControl);
  FUZZ_CHECK(vocabulary.piece(vocabulary.eos()).type == PieceType::kControl);
  FUZZ_CHECK(vocabulary.piece(vocabulary.unknown()).type == PieceType::kUnknown);
  for (int byte = 0; byte < 256; ++byte) {
    FUZZ_CHECK(vocabulary.piece(vocabulary.byte(static_cast<uint8_t>(byte))).bytes ==
               std::string(1, static_cast<char>(byte)));
  }
  std::string text;
  std::vector<TokenId> ids;
  for (TokenId id = 0; id < vocabulary.size() && text.size() < 4096; ++id) {
    text += vocabulary.piece(id).spelling;
    ids.push_back(id);
  }
  std::vector<TextToken> tokens;
  const std::string normalized = NormalizeText(vocabulary, text);
  EncodeBpe(vocabulary, normalized, tokens);
  std::vector<TokenId> encoded;
  for (const TextToken& token : tokens) {
    encoded.push_back(token.id);
    const PieceType type = vocabulary.piece(token.id).type;
    FUZZ_CHECK(type != PieceType::kControl && type != PieceType::kUnknown);
  }
  StreamDecoder decoder(vocabulary, true);
  DecodedText decoded;
  FUZZ_CHECK(decoder.Push(ids, decoded).ok());
  decoder.Flush(decoded);
  FUZZ_CHECK(fuzzing::Repaired(decoded.text) == decoded.text);
  return 0;
}
