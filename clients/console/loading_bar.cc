#include "clients/console/loading_bar.h"

#include <algorithm>

#include "absl/strings/str_format.h"

namespace llama {

std::string RenderLoadingBar(int64_t percent) {
  constexpr size_t kCells = 20;
  percent = std::clamp<int64_t>(percent, 0, 100);
  const size_t full = static_cast<size_t>(percent) * kCells / 100;
  return absl::StrFormat("Loading the model [%s%s] %3d %%", std::string(full, '#'),
                         std::string(kCells - full, '-'), percent);
}

}  // namespace llama
