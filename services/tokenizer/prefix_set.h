#ifndef LLAMA_SERVICES_TOKENIZER_PREFIX_SET_H_
#define LLAMA_SERVICES_TOKENIZER_PREFIX_SET_H_

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"

namespace llama {

// Finds the longest of many strings that a text starts with. Immutable: thread-safe.
class PrefixSet {
 public:
  PrefixSet() = default;
  // `strings`: not empty, distinct, in any order; what they view must outlive the set.
  explicit PrefixSet(std::vector<absl::string_view> strings);

  // The length of the longest string that `text` starts with; 0 if there is none. Time: a binary
  // search, and a step for each string that shares more with the text's neighbour in their order.
  size_t LongestPrefix(absl::string_view text) const;

 private:
  std::vector<absl::string_view> strings_;  // Sorted.
  // Of each string, the longest other one that it starts with: its index, or -1.
  std::vector<int32_t> prefixes_;
  std::bitset<256> first_bytes_;
};

}  // namespace llama

#endif  // LLAMA_SERVICES_TOKENIZER_PREFIX_SET_H_
