#ifndef LLAMA_SERVICES_TOKENIZER_VOCABULARY_H_
#define LLAMA_SERVICES_TOKENIZER_VOCABULARY_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/tokenizer/prefix_set.h"

namespace llama {

using TokenId = uint32_t;

// Largest tokenizer.model that is read, and most pieces; Llama 2's has 0.5 MB and 32,000.
inline constexpr int64_t kMaxVocabularyFileBytes = int64_t{16} << 20;
inline constexpr int kMaxPieces = 1 << 19;

// U+2581, SentencePiece's blank.
inline constexpr char kSpaceSymbol[] = "\xE2\x96\x81";

enum class PieceType { kNormal, kUnknown, kControl, kUserDefined, kUnused, kByte };

struct Piece {
  std::string spelling;  // As in the file: "▁Hello", "<0x0A>", "</s>".
  std::string bytes;     // What it stands for: " Hello", "\n"; empty for control pieces.
  float score = 0;
  PieceType type = PieceType::kNormal;
};

// The vocabulary of a SentencePiece BPE model with byte fallback, as in Llama 2's tokenizer.model:
// a serialized ModelProto (github.com/google/sentencepiece). Immutable: thread-safe.
class Vocabulary {
 public:
  // Errors: INVALID_ARGUMENT, starting with `name` and naming what was expected and what was found.
  // Refused with at most some 200 bytes of memory per piece.
  static absl::StatusOr<std::unique_ptr<const Vocabulary>> Parse(absl::string_view file,
                                                                 absl::string_view name);

  Vocabulary(const Vocabulary&) = delete;
  Vocabulary& operator=(const Vocabulary&) = delete;

  size_t size() const { return pieces_.size(); }
  // REQUIRES: id < size().
  const Piece& piece(TokenId id) const { return pieces_[id]; }
  TokenId bos() const { return bos_; }
  TokenId eos() const { return eos_; }
  TokenId unknown() const { return unknown_; }
  // The token of a single byte.
  TokenId byte(uint8_t value) const { return bytes_[value]; }
  bool add_dummy_prefix() const { return add_dummy_prefix_; }
  // Whether any piece is of type kUnused.
  bool has_unused() const { return has_unused_; }

  // The piece that text of this spelling may become: a normal, user-defined or unused one. Text
  // never becomes a control piece, the unknown one, or (but by byte()) a byte.
  std::optional<TokenId> FindText(absl::string_view spelling) const;
  // The longest user-defined piece that `text` starts with; its length, or 0.
  size_t UserDefinedPrefix(absl::string_view text) const {
    return user_defined_.LongestPrefix(text);
  }
  // Whether any piece has these two characters side by side. Where none has, no merge crosses.
  bool MayJoin(char32_t left, char32_t right) const {
    return joints_.contains(uint64_t{left} << 32 | right);
  }

 private:
  Vocabulary() = default;
  // Takes a piece that was checked, and indexes it. False if its spelling is taken.
  bool Add(Piece piece);

  std::vector<Piece> pieces_;
  // Views into pieces_, whose strings do not move: it is reserved before the first piece.
  absl::flat_hash_map<absl::string_view, TokenId> spellings_;
  absl::flat_hash_set<uint64_t> joints_;
  PrefixSet user_defined_;
  std::array<TokenId, 256> bytes_ = {};
  TokenId bos_ = 0;
  TokenId eos_ = 0;
  TokenId unknown_ = 0;
  bool add_dummy_prefix_ = true;
  bool has_unused_ = false;
};

}  // namespace llama

#endif  // LLAMA_SERVICES_TOKENIZER_VOCABULARY_H_
