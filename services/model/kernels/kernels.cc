#include "services/model/kernels/kernels.h"

#include <vector>

#include "services/model/kernels/kernels_isa.h"

namespace llama {
namespace {

std::vector<const Kernels*> FindSupported() {
  std::vector<const Kernels*> found = {&kScalarKernels};
#if defined(__x86_64__)
  // These also ask whether the operating system saves the registers.
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    found.push_back(&kAvx2Kernels);
  }
  if (__builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl")) {
    found.push_back(&kAvx512Bf16Kernels);
  }
#endif
  return found;
}

}  // namespace

std::span<const Kernels* const> SupportedKernels() {
  static const auto& supported = *new std::vector<const Kernels*>(FindSupported());
  return supported;
}

const Kernels* FindKernels(absl::string_view name) {
  for (const Kernels* const kernels : SupportedKernels()) {
    if (kernels->name == name) return kernels;
  }
  return nullptr;
}

}  // namespace llama
