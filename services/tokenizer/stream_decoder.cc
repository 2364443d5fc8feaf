#include "services/tokenizer/stream_decoder.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/status_details.h"
#include "common/utf8.h"

namespace llama {

absl::Status StreamDecoder::Push(std::span<const TokenId> ids, DecodedText& out) {
  for (const TokenId id : ids) {
    if (id >= vocabulary_.size()) {
      return MakeStatus(
          absl::StatusCode::kOutOfRange, "TOKEN_ID",
          absl::StrCat("token id ", id, " is outside the vocabulary of ", vocabulary_.size(),
                       " tokens"),
          {{"id", absl::StrCat(id)}, {"vocabulary_size", absl::StrCat(vocabulary_.size())}});
    }
    const Piece& piece = vocabulary_.piece(id);
    if (piece.type == PieceType::kByte) {
      PushByte(piece.bytes[0], out);
      drop_blank_ = false;
      continue;
    }
    Flush(out);
    absl::string_view text = piece.bytes;
    if (text.empty()) continue;
    // The unknown token's blanks are its own.
    if (drop_blank_ && piece.type != PieceType::kUnknown) absl::ConsumePrefix(&text, " ");
    drop_blank_ = false;
    absl::StrAppend(&out.text, text);
    absl::StrAppend(&out.raw, text);
  }
  return absl::OkStatus();
}

void StreamDecoder::PushByte(char byte, DecodedText& out) {
  held_ += byte;
  while (!held_.empty() && !IsIncompleteChar(held_)) {
    const size_t bytes = FirstChar(held_).bytes;
    if (bytes == 0) {
      out.text += kReplacement;
      out.raw += held_[0];
      held_.erase(0, 1);
    } else {
      out.text.append(held_, 0, bytes);
      out.raw.append(held_, 0, bytes);
      held_.erase(0, bytes);
    }
  }
}

void StreamDecoder::Flush(DecodedText& out) {
  for (size_t i = 0; i < held_.size(); ++i) out.text += kReplacement;
  out.raw += held_;
  held_.clear();
}

}  // namespace llama
