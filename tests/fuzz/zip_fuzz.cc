// The zip directory: whatever is accepted lies in the file and does not overlap.
#include <set>

#include "services/model/checkpoint/zip_reader.h"
#include "tests/fuzz/fuzzing.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace llama;
  const std::span<const std::byte> file(reinterpret_cast<const std::byte*>(data), size);
  const auto entries = ReadZip(file);
  if (!entries.ok()) {
    FUZZ_CHECK(absl::IsInvalidArgument(entries.status()));
    return 0;
  }
  std::set<std::string> names;
  std::set<std::pair<const std::byte*, const std::byte*>> extents;
  for (const ZipEntry& entry : *entries) {
    FUZZ_CHECK(names.insert(entry.name).second);
    FUZZ_CHECK(entry.data.data() >= file.data());
    FUZZ_CHECK(entry.data.data() + entry.data.size() <= file.data() + file.size());
    extents.emplace(entry.data.data(), entry.data.data() + entry.data.size());
  }
  FUZZ_CHECK(extents.size() == entries->size());
  const std::byte* last = file.data();
  for (const auto& [begin, end] : extents) {
    FUZZ_CHECK(begin >= last);
    last = end;
  }
  return 0;
}
