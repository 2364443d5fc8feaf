#include "tests/support/vocabulary_writer.h"

#include "absl/strings/str_format.h"

namespace llama {

using Piece = files::SentencePieceModel::Piece;

void AddPiece(files::SentencePieceModel& model, const std::string& spelling, float score,
              int type) {
  Piece& piece = *model.add_pieces();
  piece.set_piece(spelling);
  piece.set_score(score);
  piece.set_type(type);
}

files::SentencePieceModel MinimalVocabulary() {
  files::SentencePieceModel model;
  AddPiece(model, "<unk>", 0, Piece::UNKNOWN);
  AddPiece(model, "<s>", 0, Piece::CONTROL);
  AddPiece(model, "</s>", 0, Piece::CONTROL);
  for (int byte = 0; byte < 256; ++byte) {
    AddPiece(model, absl::StrFormat("<0x%02X>", byte), 0, Piece::BYTE);
  }
  files::TrainerSpec& trainer = *model.mutable_trainer_spec();
  trainer.set_model_type(files::TrainerSpec::BPE);
  trainer.set_byte_fallback(true);
  files::NormalizerSpec& normalizer = *model.mutable_normalizer_spec();
  normalizer.set_name("identity");
  normalizer.set_add_dummy_prefix(true);
  normalizer.set_remove_extra_whitespaces(false);
  normalizer.set_escape_whitespaces(true);
  return model;
}

files::SentencePieceModel MixedVocabulary() {
  files::SentencePieceModel model = MinimalVocabulary();
  float score = 0;
  for (const char* const normal :
       {"ab", "bc", "▁a", "abc", "cab", "▁ab", "abcab", "▁▁", "▁▁▁▁", "é", "éé", "👀", "a👀"}) {
    AddPiece(model, normal, --score);
  }
  for (const char* const unused : {"bca", "abab", "▁abc", "ca"}) {
    AddPiece(model, unused, --score, Piece::UNUSED);
  }
  for (const char* const user_defined : {"aaa", "aaaa", "<tag>", "▁<t", "c▁c"}) {
    AddPiece(model, user_defined, 0, Piece::USER_DEFINED);
  }
  for (const char* const letter : {"▁", "a", "b", "c"}) AddPiece(model, letter, --score);
  return model;
}

}  // namespace llama
