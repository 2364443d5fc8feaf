// Whole checkpoints of every shape, stored type and number of files: every weight arrives.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "services/model/checkpoint/checkpoint.h"
#include "tests/support/model_writer.h"
#include "tests/support/temp_folder.h"

namespace llama {
namespace {

float ValueAt(const Matrix& matrix, size_t i) {
  return matrix.type == DataType::kF32 ? matrix.f32()[i] : ToFloat(matrix.bf16()[i]);
}

const Matrix& Find(const ModelWeights& weights, const std::string& name) {
  if (name == "tok_embeddings.weight") return weights.tok_embeddings;
  if (name == "norm.weight") return weights.norm;
  if (name == "output.weight") return weights.output;
  const size_t dot = name.find('.', 7);
  const LayerWeights& layer = weights.layers.at(std::stoul(name.substr(7, dot - 7)));
  const std::string rest = name.substr(dot + 1);
  if (rest == "attention_norm.weight") return layer.attention_norm;
  if (rest == "attention.wq.weight") return layer.wq;
  if (rest == "attention.wk.weight") return layer.wk;
  if (rest == "attention.wv.weight") return layer.wv;
  if (rest == "attention.wo.weight") return layer.wo;
  if (rest == "ffn_norm.weight") return layer.ffn_norm;
  if (rest == "feed_forward.w1.weight") return layer.w1;
  if (rest == "feed_forward.w2.weight") return layer.w2;
  EXPECT_EQ(rest, "feed_forward.w3.weight");
  return layer.w3;
}

void ExpectWeights(const TinyModel& model, const ModelWeights& weights) {
  for (const TinyTensor& tensor : TinyTensors(model)) {
    if (tensor.name == "rope.freqs") continue;
    const Matrix& matrix = Find(weights, tensor.name);
    const bool is_vector = tensor.shape.size() == 1;
    ASSERT_EQ(matrix.rows, is_vector ? 1 : static_cast<size_t>(tensor.shape[0])) << tensor.name;
    ASSERT_EQ(matrix.cols, static_cast<size_t>(tensor.shape.back())) << tensor.name;
    for (size_t i = 0; i < tensor.values.size(); ++i) {
      ASSERT_EQ(ValueAt(matrix, i), tensor.values[i]) << tensor.name << " element " << i;
    }
  }
}

const TinyModel kShapes[] = {
    {},
    {.n_kv_heads = 4, .vocab_size_given = false},                     // Multi-head attention.
    {.dim = 36, .n_heads = 6, .n_kv_heads = 2, .multiple_of = 8},     // head_dim 6
    {.dim = 40, .n_heads = 4, .n_kv_heads = 4, .norm_eps = 1e-6},     // head_dim 10
    {.dim = 72, .n_layers = 1, .n_heads = 2, .rope_theta = 1000000},  // head_dim 36
    {.dim = 8,
     .n_layers = 3,
     .n_heads = 4,
     .n_kv_heads = 2,
     .vocab_size = 6,
     .multiple_of = 2,
     .ffn_dim_multiplier = {}},  // head_dim 2
};

class TinyCheckpointTest : public testing::TestWithParam<std::tuple<size_t, DataType, int64_t>> {};

TEST_P(TinyCheckpointTest, EveryWeightArrivesExactly) {
  const auto& [shape, type, files] = GetParam();
  TinyModel model = kShapes[shape];
  model.type = type;
  const TempFolder folder;
  WriteModel(model, folder.path(), files);
  for (const DataType weights : {DataType::kBf16, DataType::kF32}) {
    for (const int threads : {1, 3}) {
      for (const auto& [verify, placement] :
           {std::pair(false, WeightPlacement::kMapped), std::pair(true, WeightPlacement::kMapped),
            std::pair(true, WeightPlacement::kResident)}) {
        const CheckpointOptions options = {
            .weights = weights, .placement = placement, .verify = verify, .threads = threads};
        const auto checkpoint = Checkpoint::Load(folder.path(), options);
        ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
        ExpectWeights(model, (*checkpoint)->weights());
        const ModelConfig& config = (*checkpoint)->config();
        EXPECT_EQ(config.vocab_size, model.vocab_size);
        EXPECT_EQ(config.norm_eps, model.norm_eps);
        EXPECT_EQ(config.rope_theta, model.rope_theta);
        const auto size = MeasureCheckpoint(folder.path(), options);
        ASSERT_TRUE(size.ok()) << size.status();
        EXPECT_EQ(size->weight_bytes, (*checkpoint)->weight_bytes());
      }
    }
  }
}

TEST_P(TinyCheckpointTest, TensorsAreListedWholeInTheFilesOrder) {
  const auto& [shape, type, files] = GetParam();
  TinyModel model = kShapes[shape];
  model.type = type;
  const TempFolder folder;
  WriteModel(model, folder.path(), files);
  const auto checkpoint = Checkpoint::Load(folder.path(), {});
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  const std::vector<TinyTensor> expected = TinyTensors(model);
  ASSERT_EQ((*checkpoint)->tensors().size(), expected.size());
  int64_t parameters = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const TensorInfo& info = (*checkpoint)->tensors()[i];
    EXPECT_EQ(info.name, expected[i].name);
    EXPECT_EQ(info.type, type);
    EXPECT_EQ(info.shape, expected[i].shape) << info.name;
    if (info.name != "rope.freqs") parameters += static_cast<int64_t>(expected[i].values.size());
  }
  EXPECT_EQ((*checkpoint)->parameter_count(), parameters);
}

INSTANTIATE_TEST_SUITE_P(Shapes, TinyCheckpointTest,
                         testing::Combine(testing::Range<size_t>(0, std::size(kShapes)),
                                          testing::Values(DataType::kBf16, DataType::kF16,
                                                          DataType::kF32),
                                          testing::Values<int64_t>(1, 2)),
                         [](const auto& test) {
                           return absl::StrCat("Shape", std::get<0>(test.param), "_",
                                               std::string(NameOf(std::get<1>(test.param))), "_",
                                               std::get<2>(test.param), "Files");
                         });

TEST(CheckpointDigestTest, TellsModelsApartAndIsTheSameAgain) {
  std::set<std::string> digests;
  const std::vector<TinyModel> models = {
      {}, {.seed = 2}, {.norm_eps = 1e-6}, {.type = DataType::kF16}};
  for (const TinyModel& model : models) {
    const TempFolder folder;
    WriteModel(model, folder.path());
    const auto checkpoint = Checkpoint::Load(folder.path(), {});
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
    digests.insert((*checkpoint)->digest());
    // Neither how the zip is written nor how it is loaded matters.
    const TempFolder other;
    other.Write("params.json", TinyParams(model));
    other.Write("consolidated.00.pth",
                MakeTorchParts(TinyTensors(model), model.type).Write({.zip64_end = false}));
    const auto again = Checkpoint::Load(other.path(), {.weights = DataType::kF32, .verify = false});
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_EQ((*again)->digest(), (*checkpoint)->digest());
  }
  EXPECT_EQ(digests.size(), models.size());
}

// Whether this address belongs to a mapped file.
bool IsMappedFile(const void* address) {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    char* rest = nullptr;
    const uintptr_t begin = std::strtoull(line.c_str(), &rest, 16);
    if (*rest != '-') continue;
    const uintptr_t end = std::strtoull(rest + 1, nullptr, 16);
    const auto at = reinterpret_cast<uintptr_t>(address);
    if (at >= begin && at < end) return absl::EndsWith(line, ".pth");
  }
  return false;
}

TEST(CheckpointMemoryTest, Bf16OfOneFileIsUsedInPlaceUnlessItIsToBeResident) {
  const TempFolder folder;
  WriteModel({}, folder.path());
  // So small a model is not worth copying.
  for (const WeightPlacement placement :
       {WeightPlacement::kMapped, WeightPlacement::kResident, WeightPlacement::kAuto}) {
    const bool resident = placement == WeightPlacement::kResident;
    const auto checkpoint = Checkpoint::Load(folder.path(), {.placement = placement});
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
    EXPECT_EQ((*checkpoint)->resident(), resident);
    const ModelWeights& weights = (*checkpoint)->weights();
    for (const Matrix* const matrix : {&weights.tok_embeddings, &weights.norm, &weights.output,
                                       &weights.layers[0].attention_norm, &weights.layers[0].wq,
                                       &weights.layers[1].w2, &weights.layers[1].ffn_norm}) {
      // Storages lie at multiples of 64 in the file, and so do copies.
      EXPECT_EQ(reinterpret_cast<uintptr_t>(matrix->data) % 64, 0u);
      EXPECT_EQ(IsMappedFile(matrix->data), !resident);
    }
  }
}

TEST(CheckpointMemoryTest, WeightsThatAreAllConvertedNeedNoFile) {
  const TempFolder folder;
  WriteModel({.type = DataType::kF16}, folder.path());
  const auto checkpoint = Checkpoint::Load(folder.path(), {});
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  EXPECT_TRUE((*checkpoint)->resident());
}

// Large pieces may get huge pages.
void WriteAnewInSmallPages(const std::string& path) {
  const std::string before = path + ".before";
  std::filesystem::rename(path, before);
  std::ifstream in(before, std::ios::binary);
  std::ofstream out;
  out.rdbuf()->pubsetbuf(nullptr, 0);
  out.open(path, std::ios::binary);
  std::vector<char> page(4096);
  while (in.read(page.data(), std::ssize(page)) || in.gcount() > 0) {
    out.write(page.data(), in.gcount());
  }
  ASSERT_TRUE(out.good());
  std::filesystem::remove(before);
}

TEST(CheckpointMemoryTest, AutoCopiesALargeModelThatIsMappedInSmallPagesIfMemoryIsSpare) {
  const TempFolder folder;
  const TinyModel model = {.dim = 512, .vocab_size = 16'500};  // 34 MB.
  WriteModel(model, folder.path());
  WriteAnewInSmallPages(folder.path() + "/consolidated.00.pth");
  const auto load = [&](int64_t spare_bytes) {
    auto checkpoint = Checkpoint::Load(
        folder.path(), {.placement = WeightPlacement::kAuto, .spare_bytes = spare_bytes});
    EXPECT_TRUE(checkpoint.ok()) << checkpoint.status();
    return *std::move(checkpoint);
  };
  const auto spare = load(int64_t{1} << 40);
  EXPECT_TRUE(spare->resident());
  const Matrix& output = spare->weights().output;
  EXPECT_FALSE(IsMappedFile(output.data));
  const auto scarce = load(spare->weight_bytes() - 1);
  EXPECT_FALSE(scarce->resident());
  EXPECT_TRUE(IsMappedFile(scarce->weights().output.data));
  EXPECT_EQ(std::memcmp(output.data, scarce->weights().output.data,
                        output.rows * output.cols * sizeof(Bf16)),
            0);
}

}  // namespace
}  // namespace llama
