#include "common/mapping_faults.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "common/printable.h"

namespace llama {
namespace {

// The handler may use neither locks nor memory from the heap: it reads a table. A slot is free
// while its `begin` is 0, and is filled in before it is set.
struct Mapping {
  std::atomic<uintptr_t> begin = 0;
  std::atomic<uintptr_t> end = 0;
  std::array<char, 512> path = {};  // Cut off if need be.
};
constinit std::array<Mapping, 256> g_mappings;  // More are not reported.
constinit std::array<char, 64> g_program = {};

uintptr_t Address(const void* pointer) { return reinterpret_cast<uintptr_t>(pointer); }

void Copy(absl::string_view text, std::span<char> out) {
  const size_t size = std::min(text.size(), out.size() - 1);
  std::memcpy(out.data(), text.data(), size);
  out[size] = '\0';
}

void Write(const char* text) {
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, text, std::strlen(text));
}

void OnBusError(int, siginfo_t* info, void*) {
  const uintptr_t address = Address(info->si_addr);
  for (const Mapping& mapping : g_mappings) {
    const uintptr_t begin = mapping.begin.load();
    if (begin == 0 || address < begin || address >= mapping.end.load()) continue;
    Write(g_program.data());
    Write(": ");
    Write(mapping.path.data());
    Write(
        ": a part of it that is in use cannot be read any more: the file was cut short, or its disk"
        " fails. Replace files by renaming others over them.\n");
    _exit(1);
  }
  // Not a file of ours: the access, tried again, ends the process.
  (void)signal(SIGBUS, SIG_DFL);
}

}  // namespace

void ExitOnMappingFaults(absl::string_view program) {
  Copy(program, g_program);
  struct sigaction action = {};
  action.sa_sigaction = OnBusError;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGBUS, &action, nullptr);
}

void AddMapping(std::span<const std::byte> bytes, const std::string& path) {
  constexpr uintptr_t kTaken = 1;  // No page has this address.
  for (Mapping& mapping : g_mappings) {
    uintptr_t free = 0;
    if (!mapping.begin.compare_exchange_strong(free, kTaken)) continue;
    mapping.end = 0;  // Until then the slot means nothing.
    Copy(Printable(path), mapping.path);
    mapping.begin = Address(bytes.data());
    mapping.end = Address(bytes.data()) + bytes.size();
    return;
  }
}

void RemoveMapping(std::span<const std::byte> bytes) {
  for (Mapping& mapping : g_mappings) {
    uintptr_t begin = Address(bytes.data());
    if (mapping.begin.compare_exchange_strong(begin, 0)) return;
  }
}

}  // namespace llama
