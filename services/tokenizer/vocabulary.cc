#include "services/tokenizer/vocabulary.h"

#include <algorithm>
#include <bitset>
#include <cmath>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "common/status_macros.h"
#include "llama/files/sentencepiece_model.pb.h"
#include "services/tokenizer/utf8.h"

namespace llama {
namespace {

constexpr int kMaxPieces = 1'000'000;
constexpr size_t kMaxPieceBytes = 4096;
// What SentencePiece's decoder puts in the place of the unknown token.
constexpr char kUnknownSurface[] = " \xE2\x81\x87 ";

using Model = files::SentencePieceModel;

std::optional<PieceType> TypeOf(const Model::Piece& piece) {
  switch (piece.type()) {
    case Model::Piece::NORMAL:
      return PieceType::kNormal;
    case Model::Piece::UNKNOWN:
      return PieceType::kUnknown;
    case Model::Piece::CONTROL:
      return PieceType::kControl;
    case Model::Piece::USER_DEFINED:
      return PieceType::kUserDefined;
    case Model::Piece::UNUSED:
      return PieceType::kUnused;
    case Model::Piece::BYTE:
      return PieceType::kByte;
  }
  return std::nullopt;
}

bool IsValidUtf8(absl::string_view text) {
  while (!text.empty()) {
    const size_t bytes = FirstChar(text).bytes;
    if (bytes == 0) return false;
    text.remove_prefix(bytes);
  }
  return true;
}

// The byte that "<0x0A>" spells.
std::optional<uint8_t> ByteOf(absl::string_view spelling) {
  for (int value = 0; value < 256; ++value) {
    if (spelling == absl::StrFormat("<0x%02X>", value)) return static_cast<uint8_t>(value);
  }
  return std::nullopt;
}

absl::Status CheckSettings(const Model& model) {
  const auto refuse = [](absl::string_view what, absl::string_view expected) {
    return absl::InvalidArgumentError(absl::StrCat(what, ": expected ", expected));
  };
  const files::TrainerSpec& trainer = model.trainer_spec();
  const files::NormalizerSpec& normalizer = model.normalizer_spec();
  if (trainer.model_type() != files::TrainerSpec::BPE) {
    return refuse("trainer_spec.model_type", "BPE");
  }
  if (!trainer.byte_fallback()) return refuse("trainer_spec.byte_fallback", "true");
  if (trainer.treat_whitespace_as_suffix()) {
    return refuse("trainer_spec.treat_whitespace_as_suffix", "false");
  }
  if (!normalizer.precompiled_charsmap().empty()) {
    return refuse("normalizer_spec.precompiled_charsmap", "none (an identity normalizer)");
  }
  if (normalizer.remove_extra_whitespaces()) {
    return refuse("normalizer_spec.remove_extra_whitespaces", "false");
  }
  if (!normalizer.escape_whitespaces()) {
    return refuse("normalizer_spec.escape_whitespaces", "true");
  }
  return absl::OkStatus();
}

absl::StatusOr<Piece> CheckPiece(const Model::Piece& in) {
  Piece piece{.spelling = in.piece(), .bytes = "", .score = in.score()};
  const std::optional<PieceType> type = TypeOf(in);
  if (!type.has_value()) return absl::InvalidArgumentError("has an unknown type");
  piece.type = *type;
  if (piece.spelling.empty()) return absl::InvalidArgumentError("is empty");
  if (piece.spelling.size() > kMaxPieceBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("has ", piece.spelling.size(), " bytes, expected at most ", kMaxPieceBytes));
  }
  if (!IsValidUtf8(piece.spelling)) return absl::InvalidArgumentError("is not valid UTF-8");
  if (!std::isfinite(piece.score))
    return absl::InvalidArgumentError("has a score that is no number");
  switch (piece.type) {
    case PieceType::kControl:
      break;
    case PieceType::kUnknown:
      piece.bytes = kUnknownSurface;
      break;
    case PieceType::kByte: {
      const std::optional<uint8_t> byte = ByteOf(piece.spelling);
      if (!byte.has_value()) {
        return absl::InvalidArgumentError("is a byte, expected a spelling like <0x0A>");
      }
      piece.bytes = std::string(1, static_cast<char>(*byte));
      break;
    }
    default:
      piece.bytes = absl::StrReplaceAll(piece.spelling, {{kSpaceSymbol, " "}});
  }
  return piece;
}

}  // namespace

absl::StatusOr<std::unique_ptr<const Vocabulary>> Vocabulary::Parse(absl::string_view file,
                                                                    absl::string_view name) {
  const auto refuse = [name](absl::string_view problem) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": ", problem));
  };
  Model model;
  if (static_cast<int64_t>(file.size()) > kMaxVocabularyFileBytes ||
      !model.ParseFromArray(file.data(), static_cast<int>(file.size()))) {
    return refuse("expected a SentencePiece model, found something else or a damaged one");
  }
  if (model.pieces_size() == 0 || model.pieces_size() > kMaxPieces) {
    return refuse(
        absl::StrCat("expected 1 to ", kMaxPieces, " pieces, found ", model.pieces_size()));
  }
  if (const absl::Status status = CheckSettings(model); !status.ok()) {
    return refuse(status.message());
  }
  auto vocabulary = std::unique_ptr<Vocabulary>(new Vocabulary());
  vocabulary->add_dummy_prefix_ = model.normalizer_spec().add_dummy_prefix();
  vocabulary->pieces_.reserve(static_cast<size_t>(model.pieces_size()));
  for (int id = 0; id < model.pieces_size(); ++id) {
    const auto refuse_piece = [&](absl::string_view problem) {
      return refuse(absl::StrCat(
          "piece ", id, " \"",
          absl::Utf8SafeCHexEscape(absl::string_view(model.pieces(id).piece()).substr(0, 64)),
          "\" ", problem));
    };
    absl::StatusOr<Piece> piece = CheckPiece(model.pieces(id));
    if (!piece.ok()) return refuse_piece(piece.status().message());
    if (!vocabulary->Add(*std::move(piece))) return refuse_piece("stands there twice");
  }

  std::bitset<256> bytes;
  int unknowns = 0;
  for (TokenId id = 0; id < vocabulary->size(); ++id) {
    const Piece& piece = vocabulary->piece(id);
    if (piece.type == PieceType::kUnknown) {
      vocabulary->unknown_ = id;
      ++unknowns;
    }
    if (piece.type != PieceType::kByte) continue;
    const auto byte = static_cast<uint8_t>(piece.bytes[0]);
    vocabulary->bytes_[byte] = id;
    bytes.set(byte);
  }
  if (!bytes.all()) {
    return refuse(absl::StrCat("expected a piece for each of 256 bytes, found ", bytes.count()));
  }
  if (unknowns != 1) return refuse(absl::StrCat("expected one unknown piece, found ", unknowns));
  const auto check_control = [&](absl::string_view what, int32_t id) -> absl::StatusOr<TokenId> {
    if (id < 0 || id >= model.pieces_size() ||
        vocabulary->piece(static_cast<TokenId>(id)).type != PieceType::kControl) {
      return refuse(
          absl::StrCat("trainer_spec.", what, ": expected a control piece, found id ", id));
    }
    return static_cast<TokenId>(id);
  };
  ASSIGN_OR_RETURN(vocabulary->bos_, check_control("bos_id", model.trainer_spec().bos_id()));
  ASSIGN_OR_RETURN(vocabulary->eos_, check_control("eos_id", model.trainer_spec().eos_id()));
  return vocabulary;
}

bool Vocabulary::Add(Piece piece) {
  const auto id = static_cast<TokenId>(pieces_.size());
  pieces_.push_back(std::move(piece));
  const absl::string_view spelling = pieces_.back().spelling;
  const PieceType type = pieces_.back().type;
  const bool is_text =
      type == PieceType::kNormal || type == PieceType::kUserDefined || type == PieceType::kUnused;
  if (!(is_text ? text_pieces_ : other_pieces_).emplace(spelling, id).second) return false;
  if (!is_text) return true;
  if (type == PieceType::kUserDefined) {
    const auto longer = [](absl::string_view a, absl::string_view b) {
      return a.size() > b.size();
    };
    user_defined_.insert(
        std::upper_bound(user_defined_.begin(), user_defined_.end(), spelling, longer), spelling);
  }
  Utf8Char left = FirstChar(spelling);
  for (size_t at = left.bytes; at < spelling.size(); at += left.bytes) {
    const Utf8Char right = FirstChar(spelling.substr(at));
    joints_.insert(uint64_t{left.code_point} << 32 | right.code_point);
    left = right;
  }
  return true;
}

std::optional<TokenId> Vocabulary::FindText(absl::string_view spelling) const {
  const auto found = text_pieces_.find(spelling);
  if (found == text_pieces_.end()) return std::nullopt;
  return found->second;
}

size_t Vocabulary::UserDefinedPrefix(absl::string_view text) const {
  for (const absl::string_view piece : user_defined_) {
    if (text.substr(0, piece.size()) == piece) return piece.size();
  }
  return 0;
}

}  // namespace llama
