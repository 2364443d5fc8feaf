// A checkpoint folder: params.json up to the first zero byte, then a file consolidated.00.pth.
// Whatever is accepted has weights that can be read from end to end.
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/model/checkpoint/checkpoint.h"
#include "tests/fuzz/fuzzing.h"

namespace llama {
namespace {

const std::string& Folder() {
  static const std::string& folder = *new std::string([] {
    char path[] = "/dev/shm/lnb_fuzz.XXXXXX";
    FUZZ_CHECK(mkdtemp(path) != nullptr);
    // Libfuzzer ends with _exit() after a finding, but in peace otherwise.
    FUZZ_CHECK(std::atexit([] { std::filesystem::remove_all(Folder()); }) == 0);
    return std::string(path);
  }());
  return folder;
}

void Write(const std::string& name, absl::string_view content) {
  std::ofstream file(absl::StrCat(Folder(), "/", name), std::ios::binary | std::ios::trunc);
  file.write(content.data(), static_cast<std::streamsize>(content.size()));
  FUZZ_CHECK(file.good());
}

unsigned Sum(const Matrix& matrix) {
  unsigned sum = 0;
  const auto* const bytes =
      static_cast<const unsigned char*>(static_cast<const void*>(matrix.data));
  for (size_t i = 0; i < matrix.rows * matrix.cols * SizeOf(matrix.type); ++i) sum += bytes[i];
  return sum;
}

}  // namespace
}  // namespace llama

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace llama;
  fuzzing::Input input(data, size);
  // Most mutations break a CRC: most runs do without.
  const uint8_t choice = input.Byte();
  const CheckpointOptions options = {
      .weights = (choice & 1) != 0 ? DataType::kF32 : DataType::kBf16, .verify = choice % 8 == 0};
  Write("params.json", input.TakeUntil(absl::string_view("\0", 1)));
  Write("consolidated.00.pth", input.rest());
  const auto size_needed = MeasureCheckpoint(Folder(), options);
  const auto checkpoint = Checkpoint::Load(Folder(), options);
  if (!checkpoint.ok()) {
    FUZZ_CHECK(absl::StrContains(checkpoint.status().message(), Folder()));
    return 0;
  }
  FUZZ_CHECK(size_needed.ok() && size_needed->weight_bytes == (*checkpoint)->weight_bytes());
  const ModelWeights& weights = (*checkpoint)->weights();
  unsigned sum = Sum(weights.tok_embeddings) + Sum(weights.norm) + Sum(weights.output);
  for (const LayerWeights& layer : weights.layers) {
    for (const Matrix* const matrix :
         {&layer.attention_norm, &layer.wq, &layer.wk, &layer.wv, &layer.wo, &layer.ffn_norm,
          &layer.w1, &layer.w2, &layer.w3}) {
      sum += Sum(*matrix);
    }
  }
  volatile unsigned use = sum;
  (void)use;
  return 0;
}
