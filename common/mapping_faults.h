#ifndef LLAMA_COMMON_MAPPING_FAULTS_H_
#define LLAMA_COMMON_MAPPING_FAULTS_H_

#include <cstddef>
#include <span>
#include <string>

#include "absl/strings/string_view.h"

// Pages of mapped files that cannot be read: another process cut the file short, or its disk fails.
// The kernel answers with SIGBUS, which nobody can go on from: what was there is lost.
namespace llama {

// From now on such a fault writes one line to standard error, "PROGRAM: PATH: …", and ends the
// process with status 1. Any other SIGBUS ends it as before. Call it once, in main().
void ExitOnMappingFaults(absl::string_view program);

// For MappedFile: where a file is mapped, until its pages are unmapped. Thread-safe.
void AddMapping(std::span<const std::byte> bytes, const std::string& path);
void RemoveMapping(std::span<const std::byte> bytes);

}  // namespace llama

#endif  // LLAMA_COMMON_MAPPING_FAULTS_H_
