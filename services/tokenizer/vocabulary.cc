#include "services/tokenizer/vocabulary.h"

#include <algorithm>
#include <bitset>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "common/printable.h"
#include "common/status_macros.h"
#include "common/utf8.h"
#include "google/protobuf/io/coded_stream.h"
#include "llama/files/sentencepiece_model.pb.h"

namespace llama {
namespace {

constexpr size_t kMaxPieceBytes = 4096;

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
    default:
      return std::nullopt;
  }
}

bool IsText(PieceType type) {
  return type == PieceType::kNormal || type == PieceType::kUserDefined ||
         type == PieceType::kUnused;
}

// The byte that "<0x0A>" spells.
std::optional<uint8_t> ByteOf(absl::string_view spelling) {
  for (int value = 0; value < 256; ++value) {
    if (spelling == absl::StrFormat("<0x%02X>", value)) return static_cast<uint8_t>(value);
  }
  return std::nullopt;
}

// The number of pieces in a serialized model, counted before anything is allocated for them;
// nullopt if it is damaged, or has a wire type that no field of it has.
std::optional<int> CountPieces(absl::string_view file) {
  constexpr uint32_t kPieces = Model::kPiecesFieldNumber << 3 | 2;
  google::protobuf::io::CodedInputStream in(reinterpret_cast<const uint8_t*>(file.data()),
                                            static_cast<int>(file.size()));
  int pieces = 0;
  while (const uint32_t tag = in.ReadTag()) {
    uint64_t number = 0;
    uint32_t size = 0;
    bool skipped = false;
    switch (tag & 7) {
      case 0:  // A varint.
        skipped = in.ReadVarint64(&number);
        break;
      case 1:
        skipped = in.Skip(8);
        break;
      case 2:  // Bytes, their number first.
        skipped = in.ReadVarint32(&size) && size <= file.size() && in.Skip(static_cast<int>(size));
        break;
      case 5:
        skipped = in.Skip(4);
        break;
      default:
        break;
    }
    if (!skipped) return std::nullopt;
    if (tag == kPieces) ++pieces;
  }
  if (!in.ConsumedEntireMessage()) return std::nullopt;
  return pieces;
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
  if (!model.denormalizer_spec().precompiled_charsmap().empty()) {
    return refuse("denormalizer_spec.precompiled_charsmap", "none");
  }
  const std::string& unknown = trainer.unk_surface();
  if (unknown.size() > kMaxPieceBytes || !IsValidUtf8(unknown) ||
      unknown.find('\0') != std::string::npos) {
    return refuse("trainer_spec.unk_surface",
                  absl::StrCat("at most ", kMaxPieceBytes, " bytes of UTF-8 without a zero byte"));
  }
  return absl::OkStatus();
}

absl::StatusOr<Piece> CheckPiece(const Model::Piece& in, const std::string& unknown_surface) {
  Piece piece{.spelling = in.piece(), .bytes = "", .score = in.score()};
  const std::optional<PieceType> type = TypeOf(in);
  if (!type.has_value()) {
    return absl::InvalidArgumentError(absl::StrCat("has a type that is not known, ", in.type()));
  }
  piece.type = *type;
  if (piece.spelling.empty()) return absl::InvalidArgumentError("is empty");
  if (piece.spelling.size() > kMaxPieceBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("has ", piece.spelling.size(), " bytes, expected at most ", kMaxPieceBytes));
  }
  if (!IsValidUtf8(piece.spelling)) return absl::InvalidArgumentError("is not valid UTF-8");
  if (!std::isfinite(piece.score)) {
    return absl::InvalidArgumentError(absl::StrCat("expected a finite score, found ", piece.score));
  }
  switch (piece.type) {
    case PieceType::kControl:
      break;
    case PieceType::kUnknown:
      piece.bytes = unknown_surface;
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
  if (static_cast<int64_t>(file.size()) > kMaxVocabularyFileBytes) {
    return refuse(
        absl::StrCat("expected at most ", kMaxVocabularyFileBytes, " bytes, found ", file.size()));
  }
  const std::optional<int> count = CountPieces(file);
  if (count.has_value() && (*count == 0 || *count > kMaxPieces)) {
    return refuse(absl::StrCat("expected 1 to ", kMaxPieces, " pieces, found ", *count));
  }
  Model model;
  if (!count.has_value() || !model.ParseFromArray(file.data(), static_cast<int>(file.size()))) {
    return refuse("expected a SentencePiece model, found something else or a damaged one");
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
          "piece ", id, " \"", Printable(absl::string_view(model.pieces(id).piece()).substr(0, 64)),
          "\" ", problem));
    };
    absl::StatusOr<Piece> piece = CheckPiece(model.pieces(id), model.trainer_spec().unk_surface());
    if (!piece.ok()) return refuse_piece(piece.status().message());
    if (!vocabulary->Add(*std::move(piece))) return refuse_piece("stands there twice");
  }

  std::bitset<256> bytes;
  int unknowns = 0;
  std::vector<absl::string_view> user_defined;
  for (TokenId id = 0; id < vocabulary->size(); ++id) {
    const Piece& piece = vocabulary->piece(id);
    if (piece.type == PieceType::kUserDefined) user_defined.push_back(piece.spelling);
    if (piece.type == PieceType::kUnused) vocabulary->has_unused_ = true;
    if (piece.type == PieceType::kUnknown) {
      vocabulary->unknown_ = id;
      ++unknowns;
    }
    if (piece.type != PieceType::kByte) continue;
    const auto byte = static_cast<uint8_t>(piece.bytes[0]);
    vocabulary->bytes_[byte] = id;
    bytes.set(byte);
  }
  vocabulary->user_defined_ = PrefixSet(std::move(user_defined));
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
  if (!spellings_.emplace(spelling, id).second) return false;
  if (!IsText(pieces_.back().type)) return true;
  Utf8Char left = FirstChar(spelling);
  for (size_t at = left.bytes; at < spelling.size(); at += left.bytes) {
    const Utf8Char right = FirstChar(spelling.substr(at));
    joints_.insert(uint64_t{left.code_point} << 32 | right.code_point);
    left = right;
  }
  return true;
}

std::optional<TokenId> Vocabulary::FindText(absl::string_view spelling) const {
  const auto found = spellings_.find(spelling);
  if (found == spellings_.end() || !IsText(pieces_[found->second].type)) return std::nullopt;
  return found->second;
}

}  // namespace llama
