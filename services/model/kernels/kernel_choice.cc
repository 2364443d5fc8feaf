#include "services/model/kernels/kernel_choice.h"

#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace llama {

absl::StatusOr<const Kernels*> ChooseKernels(absl::string_view name) {
  if (name.empty()) return SupportedKernels().back();
  if (const Kernels* const found = FindKernels(name); found != nullptr) return found;
  std::vector<absl::string_view> names;
  for (const Kernels* const kernels : SupportedKernels()) names.push_back(kernels->name);
  return absl::InvalidArgumentError(
      absl::StrCat("--instruction_set: expected one that this processor has (",
                   absl::StrJoin(names, ", "), "), found ", name));
}

}  // namespace llama
