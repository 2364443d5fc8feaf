#ifndef LLAMA_SERVICES_MODEL_CHECKPOINT_VERIFY_H_
#define LLAMA_SERVICES_MODEL_CHECKPOINT_VERIFY_H_

#include <cstdint>
#include <functional>

#include "absl/status/status.h"
#include "services/model/checkpoint/torch_file.h"

namespace llama {

// Reads all of the file once, on `threads` threads: compares the CRC-32 of every entry and looks
// for weights that are no finite numbers. `on_bytes` is told how many more bytes are done, on any
// of the threads. Errors: DATA_LOSS, naming the file and the entry, with both CRCs;
// INVALID_ARGUMENT, naming the file, the tensor and the index of the weight.
absl::Status VerifyFile(const TorchFile& file, int threads,
                        const std::function<void(int64_t)>& on_bytes);

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_CHECKPOINT_VERIFY_H_
