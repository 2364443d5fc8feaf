#ifndef LLAMA_TESTS_SUPPORT_VOCABULARY_WRITER_H_
#define LLAMA_TESTS_SUPPORT_VOCABULARY_WRITER_H_

#include <string>

#include "llama/files/sentencepiece_model.pb.h"

namespace llama {

// A tokenizer.model with nothing but what it must have: <unk>, <s> and </s> (ids 0 to 2) and the
// 256 bytes (from id 3 on), with the settings of Llama 2's. To be changed and serialized.
files::SentencePieceModel MinimalVocabulary();

// Appends a piece.
void AddPiece(files::SentencePieceModel& model, const std::string& spelling, float score = 0,
              int type = files::SentencePieceModel::Piece::NORMAL);

// MinimalVocabulary() with a few pieces of every type: letters and their merges, some unused,
// some user-defined, blanks and an emoji.
files::SentencePieceModel MixedVocabulary();

}  // namespace llama

#endif  // LLAMA_TESTS_SUPPORT_VOCABULARY_WRITER_H_
