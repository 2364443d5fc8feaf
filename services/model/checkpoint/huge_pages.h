#ifndef LLAMA_SERVICES_MODEL_CHECKPOINT_HUGE_PAGES_H_
#define LLAMA_SERVICES_MODEL_CHECKPOINT_HUGE_PAGES_H_

#include <cstddef>
#include <cstdint>
#include <istream>
#include <span>

namespace llama {

// What share of a mapping of at least 2 MB the system maps in huge pages, judged by up to 64 places
// that are touched for it: 0 to 1; 0 where the system does not say. File systems give huge pages to
// files that are read, as far as they do at all, not to those that were just written. In small ones
// a processor spends much of its time on translating addresses.
double ShareInHugePages(std::span<const std::byte> mapping);

// The bytes of huge pages among the mappings that begin in [begin, end), by the text of
// /proc/self/smaps (proc(5)).
uint64_t HugePageBytes(std::istream& smaps, uintptr_t begin, uintptr_t end);

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_CHECKPOINT_HUGE_PAGES_H_
