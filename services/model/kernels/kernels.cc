#include "services/model/kernels/kernels.h"

#include <vector>

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "services/model/kernels/kernels_isa.h"

namespace llama {
namespace {

#if defined(__x86_64__)
// Has the processor AMX with bf16, and does the system give this process, all its threads, the
// registers? They are 8 KB to be saved, so that Linux wants to be asked first:
// https://docs.kernel.org/arch/x86/xstate.html
bool MayUseAmx() {
  constexpr unsigned kAmxBf16 = 1U << 22;
  constexpr unsigned kAmxTile = 1U << 24;
  constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long kTileData = 18;               // XFEATURE_XTILEDATA
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (edx & kAmxBf16) != 0 &&
         (edx & kAmxTile) != 0 && syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}
#endif

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
    if (MayUseAmx()) found.push_back(new Kernels(AmxBf16Kernels()));
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
