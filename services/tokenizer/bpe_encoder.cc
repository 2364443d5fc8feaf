#include "services/tokenizer/bpe_encoder.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "common/utf8.h"

namespace llama {
namespace {

constexpr int32_t kNone = -1;

// A stretch of text that is, so far, one unit. Neighbours are linked; a symbol that was merged into
// its left neighbour has no bytes.
struct Symbol {
  int32_t previous = kNone;
  int32_t next = kNone;
  uint32_t begin = 0;
  uint32_t bytes = 0;
  bool frozen = false;  // A user-defined piece, which never merges.
};

// Two neighbours that would make a piece.
struct Merge {
  float score;
  int32_t left;
  int32_t right;
  uint32_t bytes;  // Of both together; outdated once one of them has changed.
};

// For a heap with the best merge on top: the highest score, then the leftmost.
bool IsWorse(const Merge& a, const Merge& b) {
  return a.score < b.score || (a.score == b.score && a.left > b.left);
}

// Merges one segment of text after the other; its buffers are used again.
class Merger {
 public:
  Merger(const Vocabulary& vocabulary, absl::string_view text, std::vector<TextToken>& tokens)
      : vocabulary_(vocabulary), text_(text), tokens_(tokens) {}

  void AddSymbol(size_t begin, size_t bytes, bool frozen) {
    const auto index = static_cast<int32_t>(symbols_.size());
    if (index > 0) symbols_.back().next = index;
    symbols_.push_back(
        {index - 1, kNone, static_cast<uint32_t>(begin), static_cast<uint32_t>(bytes), frozen});
  }

  // Merges the symbols added so far, emits their tokens and forgets them.
  void Finish() {
    if (symbols_.empty()) return;
    for (size_t i = 1; i < symbols_.size(); ++i) {
      Consider(static_cast<int32_t>(i) - 1, static_cast<int32_t>(i), first_);
    }
    // The first merges are known before any is performed: sorting them once is cheaper than a heap.
    std::sort(first_.begin(), first_.end(),
              [](const Merge& a, const Merge& b) { return IsWorse(b, a); });
    for (const Merge& merge : first_) {
      while (!heap_.empty() && IsWorse(merge, heap_.front())) PerformTop();
      Perform(merge);
    }
    while (!heap_.empty()) PerformTop();
    for (int32_t i = 0; i != kNone; i = symbols_[i].next)
      Emit(symbols_[i].begin, symbols_[i].bytes);
    symbols_.clear();
    first_.clear();
    unused_.clear();
  }

 private:
  // Adds the merge of two neighbours to `merges`, if there is such a piece.
  void Consider(int32_t left, int32_t right, std::vector<Merge>& merges) {
    if (left == kNone || right == kNone) return;
    const Symbol& a = symbols_[left];
    const Symbol& b = symbols_[right];
    if (a.frozen || b.frozen) return;
    const absl::string_view joined = text_.substr(a.begin, a.bytes + b.bytes);
    const std::optional<TokenId> id = vocabulary_.FindText(joined);
    if (!id.has_value()) return;
    merges.push_back({vocabulary_.piece(*id).score, left, right, a.bytes + b.bytes});
    // An unused piece is a step on the way to longer ones; where it is left over it is taken apart
    // again.
    if (vocabulary_.piece(*id).type == PieceType::kUnused) unused_[joined] = a.bytes;
  }

  void PushMerge(int32_t left, int32_t right) {
    const size_t size = heap_.size();
    Consider(left, right, heap_);
    if (heap_.size() > size) std::push_heap(heap_.begin(), heap_.end(), IsWorse);
  }

  void PerformTop() {
    std::pop_heap(heap_.begin(), heap_.end(), IsWorse);
    const Merge merge = heap_.back();
    heap_.pop_back();
    Perform(merge);
  }

  void Perform(const Merge& merge) {
    Symbol& left = symbols_[merge.left];
    Symbol& right = symbols_[merge.right];
    if (left.bytes == 0 || right.bytes == 0 || left.bytes + right.bytes != merge.bytes) return;
    left.bytes = merge.bytes;
    left.next = right.next;
    if (right.next != kNone) symbols_[right.next].previous = merge.left;
    right.bytes = 0;
    PushMerge(left.previous, merge.left);
    PushMerge(merge.left, left.next);
  }

  void Emit(size_t begin, size_t bytes) {
    // The parts of an unused piece, in order, on a stack of its own: no recursion.
    stack_.assign(1, {begin, bytes});
    while (!stack_.empty()) {
      const auto [part_begin, part_bytes] = stack_.back();
      stack_.pop_back();
      const absl::string_view part = text_.substr(part_begin, part_bytes);
      const std::optional<TokenId> id = vocabulary_.FindText(part);
      if (id.has_value() && vocabulary_.piece(*id).type == PieceType::kUnused) {
        if (const auto split = unused_.find(part); split != unused_.end()) {
          stack_.push_back({part_begin + split->second, part_bytes - split->second});
          stack_.push_back({part_begin, split->second});
          continue;
        }
      }
      if (id.has_value()) {
        tokens_.push_back({*id, part_begin, part_begin + part_bytes});
        continue;
      }
      for (const char byte : part) {
        tokens_.push_back(
            {vocabulary_.byte(static_cast<uint8_t>(byte)), part_begin, part_begin + part_bytes});
      }
    }
  }

  const Vocabulary& vocabulary_;
  const absl::string_view text_;
  std::vector<TextToken>& tokens_;
  std::vector<Symbol> symbols_;
  std::vector<Merge> first_;                               // Between the characters themselves.
  std::vector<Merge> heap_;                                // Between what has been merged.
  absl::flat_hash_map<absl::string_view, size_t> unused_;  // To the bytes of its left part.
  std::vector<std::pair<size_t, size_t>> stack_;
};

}  // namespace

std::string NormalizeText(const Vocabulary& vocabulary, absl::string_view text) {
  std::string normalized;
  if (text.empty()) return normalized;
  normalized.reserve(text.size() + text.size() / 2);
  if (vocabulary.add_dummy_prefix()) normalized += kSpaceSymbol;
  while (!text.empty()) {
    const size_t bytes = FirstChar(text).bytes;
    if (text[0] == ' ') {
      normalized += kSpaceSymbol;
    } else if (bytes == 0) {
      normalized += kReplacement;
    } else {
      absl::StrAppend(&normalized, text.substr(0, bytes));
    }
    text.remove_prefix(std::max<size_t>(bytes, 1));
  }
  return normalized;
}

void EncodeBpe(const Vocabulary& vocabulary, absl::string_view normalized,
               std::vector<TextToken>& tokens) {
  Merger merger(vocabulary, normalized, tokens);
  // SentencePiece takes an unused piece apart as it was put together last, wherever in the text
  // that was: with such pieces all of the text must merge at once.
  const bool cuts = !vocabulary.has_unused();
  char32_t left = 0;
  for (size_t at = 0; at < normalized.size();) {
    if (const size_t bytes = vocabulary.UserDefinedPrefix(normalized.substr(at)); bytes > 0) {
      if (cuts) merger.Finish();
      merger.AddSymbol(at, bytes, true);
      if (cuts) merger.Finish();
      at += bytes;
      left = 0;
      continue;
    }
    const Utf8Char here = FirstChar(normalized.substr(at));
    // No merge crosses a border that no piece spans, so what lies between two such borders merges
    // by itself. That keeps the heap small.
    if (cuts && !vocabulary.MayJoin(left, here.code_point)) merger.Finish();
    merger.AddSymbol(at, here.bytes, false);
    left = here.code_point;
    at += here.bytes;
  }
  merger.Finish();
}

}  // namespace llama
