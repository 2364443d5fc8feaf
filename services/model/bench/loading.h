#ifndef LLAMA_SERVICES_MODEL_BENCH_LOADING_H_
#define LLAMA_SERVICES_MODEL_BENCH_LOADING_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace llama {

struct TouchedFiles {
  int64_t bytes = 0;
  double seconds = 0;
};

// Maps the weight files (*.pth) of a folder anew and reads a byte of each page, on that many
// threads: what bounds the loading of a mapped file that the page cache holds. Errors: those of
// MappedFile::Open().
absl::StatusOr<TouchedFiles> TouchFiles(const std::string& folder, int threads);

// The memory of this process that is in use (resident), in bytes; 0 if the system does not say.
int64_t ResidentBytes();

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_BENCH_LOADING_H_
