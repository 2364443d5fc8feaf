#include "tests/support/model_writer.h"

#include <bit>
#include <cmath>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "gtest/gtest.h"

namespace llama {
namespace {

int64_t HiddenDim(const TinyModel& model) {
  auto hidden = static_cast<int64_t>(8 * model.dim / 3);
  if (model.ffn_dim_multiplier.has_value()) {
    hidden = static_cast<int64_t>(*model.ffn_dim_multiplier * static_cast<double>(hidden));
  }
  return (hidden + model.multiple_of - 1) / model.multiple_of * model.multiple_of;
}

// SplitMix64, begun anew for every tensor.
class Random {
 public:
  Random(uint64_t seed, const std::string& name) : state_(seed) {
    for (const char c : name) state_ = (state_ ^ static_cast<uint8_t>(c)) * 0x100000001B3;
  }
  // 0 to 127: as many bits as the fraction of a bf16 has.
  int Next() {
    uint64_t z = state_ += 0x9E3779B97F4A7C15;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
    z = (z ^ z >> 27) * 0x94D049BB133111EB;
    return static_cast<int>((z ^ z >> 31) >> 57);
  }

 private:
  uint64_t state_;
};

TinyTensor Draw(const TinyModel& model, const std::string& name, std::vector<int64_t> shape) {
  Random random(model.seed, name);
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  TinyTensor tensor = {.name = name, .shape = std::move(shape), .values = {}};
  // A norm's weights lie around 1; a matrix keeps the scale of what it multiplies, roughly.
  const float scale =
      std::exp2(-std::round(std::log2(std::sqrt(static_cast<float>(tensor.shape.back())) / 2)));
  for (int64_t i = 0; i < count; ++i) {
    const auto drawn = static_cast<float>(random.Next());
    tensor.values.push_back(tensor.shape.size() == 1 ? 0.5F + drawn / 128
                                                     : (drawn - 63) / 64 * scale);
  }
  return tensor;
}

uint16_t ToF16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = bits >> 16 & 0x8000;
  const uint32_t exponent = bits >> 23 & 0xFF;
  if (value == 0) return static_cast<uint16_t>(sign);
  const uint32_t fraction = bits >> 13 & 0x3FF;
  if (exponent == 0xFF) return static_cast<uint16_t>(sign | 0x7C00 | fraction);
  EXPECT_TRUE(exponent > 112 && exponent < 143 && (bits & 0x1FFF) == 0) << value;
  return static_cast<uint16_t>(sign | (exponent - 112) << 10 | fraction);
}

enum class Cut { kNone, kRows, kCols };

Cut CutOf(const std::string& name) {
  for (const char* rows : {"wq.", "wk.", "wv.", "w1.", "w3.", "output."}) {
    if (absl::StrContains(name, rows)) return Cut::kRows;
  }
  for (const char* cols : {"wo.", "w2.", "tok_embeddings."}) {
    if (absl::StrContains(name, cols)) return Cut::kCols;
  }
  return Cut::kNone;
}

void WriteFile(const std::string& path, const std::string& content) {
  EXPECT_TRUE(std::ofstream(path, std::ios::binary) << content) << path;
}

}  // namespace

std::string TinyParams(const TinyModel& model) {
  const std::string multiplier =
      model.ffn_dim_multiplier.has_value()
          ? absl::StrFormat("\"ffn_dim_multiplier\": %.17g, ", *model.ffn_dim_multiplier)
          : "";
  return absl::StrFormat(
      "{\"dim\": %d, \"n_layers\": %d, \"n_heads\": %d, \"n_kv_heads\": %d, \"vocab_size\": %d, "
      "\"multiple_of\": %d, %s\"norm_eps\": %.17g, \"rope_theta\": %.17g}\n",
      model.dim, model.n_layers, model.n_heads, model.n_kv_heads,
      model.vocab_size_given ? model.vocab_size : -1, model.multiple_of, multiplier, model.norm_eps,
      model.rope_theta);
}

std::vector<TinyTensor> TinyTensors(const TinyModel& model) {
  const int64_t dim = model.dim;
  const int64_t kv_dim = dim / model.n_heads * model.n_kv_heads;
  const int64_t hidden = HiddenDim(model);
  std::vector<TinyTensor> tensors = {Draw(model, "tok_embeddings.weight", {model.vocab_size, dim}),
                                     Draw(model, "norm.weight", {dim}),
                                     Draw(model, "output.weight", {model.vocab_size, dim})};
  for (int64_t i = 0; i < model.n_layers; ++i) {
    const auto add = [&](absl::string_view name, std::vector<int64_t> shape) {
      tensors.push_back(
          Draw(model, absl::StrCat("layers.", i, ".", name, ".weight"), std::move(shape)));
    };
    add("attention.wq", {dim, dim});
    add("attention.wk", {kv_dim, dim});
    add("attention.wv", {kv_dim, dim});
    add("attention.wo", {dim, dim});
    add("feed_forward.w1", {hidden, dim});
    add("feed_forward.w2", {dim, hidden});
    add("feed_forward.w3", {hidden, dim});
    add("attention_norm", {dim});
    add("ffn_norm", {dim});
  }
  tensors.push_back(Draw(model, "rope.freqs", {dim / model.n_heads / 2}));
  return tensors;
}

std::vector<TinyTensor> FilePart(const std::vector<TinyTensor>& tensors, int64_t index,
                                 int64_t files) {
  std::vector<TinyTensor> parts;
  for (const TinyTensor& whole : tensors) {
    const Cut cut = CutOf(whole.name);
    if (cut == Cut::kNone) {
      parts.push_back(whole);
      continue;
    }
    const int64_t rows = cut == Cut::kRows ? whole.shape[0] / files : whole.shape[0];
    const int64_t cols = cut == Cut::kCols ? whole.shape[1] / files : whole.shape[1];
    const int64_t row_begin = cut == Cut::kRows ? index * rows : 0;
    const int64_t col_begin = cut == Cut::kCols ? index * cols : 0;
    TinyTensor part = {.name = whole.name, .shape = {rows, cols}, .values = {}};
    for (int64_t r = row_begin; r < row_begin + rows; ++r) {
      const auto row = whole.values.begin() + r * whole.shape[1] + col_begin;
      part.values.insert(part.values.end(), row, row + cols);
    }
    parts.push_back(std::move(part));
  }
  return parts;
}

std::string Encode(const std::vector<float>& values, DataType type) {
  std::string bytes;
  for (const float value : values) {
    const auto f32 = std::bit_cast<uint32_t>(value);
    const uint32_t bits = type == DataType::kF32    ? f32
                          : type == DataType::kBf16 ? f32 >> 16
                                                    : uint32_t{ToF16(value)};
    bytes.append(reinterpret_cast<const char*>(&bits), SizeOf(type));
  }
  return bytes;
}

std::string TorchParts::Write(const ZipOptions& options) const {
  std::vector<ZipPart> parts = {{.name = "archive/data.pkl", .data = pickle::StateDict(items)}};
  parts.insert(parts.end(), storages.begin(), storages.end());
  parts.push_back({.name = "archive/version", .data = "3\n"});
  return WriteZip(parts, options);
}

TorchParts MakeTorchParts(const std::vector<TinyTensor>& tensors, DataType type) {
  TorchParts parts;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const TinyTensor& tensor = tensors[i];
    pickle::Tensor pickled = {.type = type,
                              .key = absl::StrCat(i),
                              .elements = static_cast<int64_t>(tensor.values.size()),
                              .shape = tensor.shape,
                              .strides = {1}};
    if (tensor.shape.size() == 2) pickled.strides = {tensor.shape[1], 1};
    parts.items.emplace_back(tensor.name, pickle::Rebuild(pickled));
    parts.storages.push_back(
        {.name = absl::StrCat("archive/data/", i), .data = Encode(tensor.values, type)});
  }
  return parts;
}

void WriteModel(const TinyModel& model, const std::string& folder, int64_t files) {
  WriteFile(folder + "/params.json", TinyParams(model));
  const std::vector<TinyTensor> tensors = TinyTensors(model);
  for (int64_t i = 0; i < files; ++i) {
    WriteFile(absl::StrFormat("%s/consolidated.%02d.pth", folder, i),
              MakeTorchParts(FilePart(tensors, i, files), model.type).Write());
  }
}

}  // namespace llama
