// The pickle of a state dict: whatever is accepted has distinct names and numbers of at least 0.
#include <set>

#include "services/model/checkpoint/pickle_reader.h"
#include "tests/fuzz/fuzzing.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace llama;
  const auto tensors = ReadStateDict({reinterpret_cast<const std::byte*>(data), size});
  if (!tensors.ok()) {
    FUZZ_CHECK(absl::IsInvalidArgument(tensors.status()));
    return 0;
  }
  std::set<std::string> names;
  for (const PickledTensor& tensor : *tensors) {
    FUZZ_CHECK(names.insert(tensor.name).second);
    FUZZ_CHECK(tensor.offset >= 0 && tensor.storage_elements >= 0);
    FUZZ_CHECK(tensor.shape.size() == tensor.strides.size());
    for (size_t i = 0; i < tensor.shape.size(); ++i) {
      FUZZ_CHECK(tensor.shape[i] >= 0 && tensor.strides[i] >= 0);
    }
  }
  return 0;
}
