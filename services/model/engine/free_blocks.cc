#include "services/model/engine/free_blocks.h"

#include <algorithm>
#include <bit>
#include <cstddef>

namespace llama {

FreeBlocks::FreeBlocks(int64_t blocks) : runs_((static_cast<size_t>(blocks) + kRun - 1) / kRun) {
  for (int64_t block = 0; block < blocks; ++block) Add(static_cast<KvBlock>(block));
}

void FreeBlocks::Add(KvBlock block) {
  runs_[block / kRun] |= static_cast<Run>(1U << block % kRun);
  ++count_;
}

bool FreeBlocks::Contains(size_t block) const {
  return block / kRun < runs_.size() && (runs_[block / kRun] >> block % kRun & 1) != 0;
}

KvBlock FreeBlocks::Take(std::optional<KvBlock> previous) {
  size_t block = 0;
  if (previous.has_value() && Contains(size_t{*previous} + 1)) {
    block = size_t{*previous} + 1;
  } else {
    const auto run = std::max_element(runs_.begin(), runs_.end(), [](Run a, Run b) {
      return std::popcount(a) < std::popcount(b);
    });
    block = static_cast<size_t>(run - runs_.begin()) * kRun +
            static_cast<size_t>(std::countr_zero(*run));
  }
  runs_[block / kRun] &= static_cast<Run>(~(1U << block % kRun));
  --count_;
  return static_cast<KvBlock>(block);
}

}  // namespace llama
