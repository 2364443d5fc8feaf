// Files made to mislead: each is refused in words, and none crashes.
#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/model/checkpoint/checkpoint.h"
#include "tests/support/model_writer.h"
#include "tests/support/temp_folder.h"

namespace llama {
namespace {

using testing::AllOf;
using testing::HasSubstr;

const char kFile[] = "consolidated.00.pth";
const char kWq[] = "layers.0.attention.wq.weight";
const char kWk[] = "layers.0.attention.wk.weight";

// The smallest model there is, and its tensors at hand.
const TinyModel kModel = {
    .dim = 4, .n_layers = 1, .n_heads = 1, .n_kv_heads = 1, .vocab_size = 3, .multiple_of = 2};

class HostileCheckpointTest : public testing::Test {
 protected:
  HostileCheckpointTest() { WriteModel(kModel, folder_.path()); }

  TinyTensor& Tensor(const std::string& name) {
    for (TinyTensor& tensor : tensors_) {
      if (tensor.name == name) return tensor;
    }
    ADD_FAILURE() << name;
    return tensors_[0];
  }
  size_t IndexOf(const std::string& name) {
    return static_cast<size_t>(&Tensor(name) - tensors_.data());
  }
  // The error that a file of these parts, or of the tensors as changed, meets.
  std::string Refusal(const TorchParts& parts) {
    folder_.Write(kFile, parts.Write());
    const auto checkpoint = Checkpoint::Load(folder_.path(), {.threads = 2});
    EXPECT_FALSE(checkpoint.ok());
    EXPECT_THAT(std::string(checkpoint.status().message()), HasSubstr(kFile));
    return std::string(checkpoint.status().message());
  }
  std::string Refusal() { return Refusal(MakeTorchParts(tensors_, kModel.type)); }
  // As above, with wq described in another way.
  std::string RefusalOfWq(const pickle::Tensor& tensor) {
    TorchParts parts = MakeTorchParts(tensors_, kModel.type);
    parts.items[IndexOf(kWq)].second = pickle::Rebuild(tensor);
    return Refusal(parts);
  }
  // wq of the layer, as it should be.
  pickle::Tensor Wq() {
    return {.key = absl::StrCat(IndexOf(kWq)), .elements = 16, .shape = {4, 4}, .strides = {4, 1}};
  }

  TempFolder folder_;
  std::vector<TinyTensor> tensors_ = TinyTensors(kModel);
};

TEST_F(HostileCheckpointTest, AFileCutAtAnyByteIsRefused) {
  const std::string path = folder_.Path(kFile);
  for (size_t size = std::filesystem::file_size(path); size-- > 0;) {
    std::filesystem::resize_file(path, size);
    const auto checkpoint = Checkpoint::Load(folder_.path(), {.verify = false});
    ASSERT_FALSE(checkpoint.ok()) << "cut at " << size;
    ASSERT_THAT(std::string(checkpoint.status().message()), HasSubstr(kFile));
  }
}

TEST_F(HostileCheckpointTest, ADamagedByteAnywhereIsRefusedOrMeansNothing) {
  const std::string whole = MakeTorchParts(tensors_, kModel.type).Write();
  const std::string digest = Checkpoint::Load(folder_.path(), {}).value()->digest();
  std::fstream file(folder_.Path(kFile));
  const auto put = [&file](size_t at, int byte) {
    file.seekp(static_cast<std::streamoff>(at)).put(static_cast<char>(byte)).flush();
  };
  size_t meaningless = 0;
  for (size_t at = 0; at < whole.size(); ++at) {
    for (const int flip : {0x01, 0xFF}) {
      put(at, whole[at] ^ flip);
      const auto checkpoint = Checkpoint::Load(folder_.path(), {});
      if (!checkpoint.ok()) continue;
      ++meaningless;
      ASSERT_EQ((*checkpoint)->digest(), digest) << "at " << at;
      const Matrix& embeddings = (*checkpoint)->weights().tok_embeddings;
      for (size_t i = 0; i < tensors_[0].values.size(); ++i) {
        ASSERT_EQ(ToFloat(embeddings.bf16()[i]), tensors_[0].values[i]) << "at " << at;
      }
    }
    put(at, whole[at]);
  }
  // Versions, times, attributes and the alignment's padding.
  EXPECT_GT(meaningless, 0u);
}

TEST_F(HostileCheckpointTest, ADamagedWeightNamesTheEntryAndBothSums) {
  TorchParts parts = MakeTorchParts(tensors_, kModel.type);
  parts.storages[IndexOf(kWq)].crc32 = 0x12345678;
  EXPECT_THAT(Refusal(parts), AllOf(HasSubstr(absl::StrCat("archive/data/", IndexOf(kWq))),
                                    HasSubstr("expected CRC-32 12345678, found ")));
}

TEST_F(HostileCheckpointTest, MissingExtraAndDoubledTensorsAreNamed) {
  TorchParts parts = MakeTorchParts(tensors_, kModel.type);
  parts.items.erase(parts.items.begin() + static_cast<ptrdiff_t>(IndexOf(kWq)));
  EXPECT_THAT(Refusal(parts), HasSubstr("layers.0.attention.wq.weight\": missing"));

  parts = MakeTorchParts(tensors_, kModel.type);
  parts.items.push_back(parts.items[IndexOf(kWq)]);
  EXPECT_THAT(Refusal(parts), HasSubstr("layers.0.attention.wq.weight\" stands there twice"));

  parts = MakeTorchParts(tensors_, kModel.type);
  parts.items.emplace_back("layers.1.attention.wq.weight", pickle::Rebuild(Wq()));
  EXPECT_THAT(Refusal(parts), HasSubstr("layers.1.attention.wq.weight\": not a part of this"));

  parts = MakeTorchParts(tensors_, kModel.type);
  parts.items.emplace_back("evil\n\x1b[2J", pickle::Rebuild(Wq()));
  EXPECT_THAT(Refusal(parts), HasSubstr("evil\\n\\x1b[2J\": not a part"));
}

TEST_F(HostileCheckpointTest, TheRotationTableMayBeMissing) {
  tensors_.pop_back();
  folder_.Write(kFile, MakeTorchParts(tensors_, kModel.type).Write());
  EXPECT_TRUE(Checkpoint::Load(folder_.path(), {}).ok());
}

TEST_F(HostileCheckpointTest, WrongShapesNameBoth) {
  Tensor(kWq).shape = {2, 8};
  EXPECT_THAT(Refusal(), HasSubstr("wq.weight\": expected shape [4, 4], found [2, 8]"));
  Tensor(kWq).shape = {16};
  EXPECT_THAT(Refusal(), HasSubstr("expected shape [4, 4], found [16]"));
}

TEST_F(HostileCheckpointTest, TensorsBeyondTheirStorageAreRefused) {
  for (const int64_t offset : {int64_t{1}, int64_t{16}, int64_t{1} << 40, INT64_MAX}) {
    pickle::Tensor tensor = Wq();
    tensor.offset = offset;
    EXPECT_THAT(RefusalOfWq(tensor), HasSubstr(kWq));
  }
  for (const std::vector<int64_t>& strides : {std::vector<int64_t>{5, 1},
                                              {4, 2},
                                              {INT64_MAX, 1},
                                              {1, INT64_MAX},
                                              {INT64_MAX / 3, INT64_MAX / 3},
                                              {int64_t{1} << 62, int64_t{1} << 62}}) {
    pickle::Tensor tensor = Wq();
    tensor.strides = strides;
    EXPECT_THAT(RefusalOfWq(tensor), HasSubstr(kWq));
  }
  for (const std::vector<int64_t>& shape : {std::vector<int64_t>{INT64_MAX, INT64_MAX},
                                            {int64_t{1} << 32, int64_t{1} << 32},
                                            {0, 4},
                                            {4, 0},
                                            {5, 4}}) {
    pickle::Tensor tensor = Wq();
    tensor.shape = shape;
    EXPECT_THAT(RefusalOfWq(tensor), HasSubstr(kWq));
  }
}

TEST_F(HostileCheckpointTest, StoragesOfAnotherSizeOrTypeThanTheirEntryAreRefused) {
  for (const int64_t elements : {int64_t{0}, int64_t{15}, int64_t{17}, INT64_MAX}) {
    pickle::Tensor tensor = Wq();
    tensor.elements = elements;
    EXPECT_THAT(RefusalOfWq(tensor), HasSubstr("expected a storage of"));
  }
  pickle::Tensor tensor = Wq();
  tensor.type = DataType::kF32;
  EXPECT_THAT(RefusalOfWq(tensor), HasSubstr("expected a storage of 16 elements of f32"));
  tensor = Wq();
  tensor.key = "../version";
  EXPECT_THAT(RefusalOfWq(tensor), HasSubstr("is not in the file"));
}

// A NaN of the one type may be a number of the other.
TEST_F(HostileCheckpointTest, OneStorageOfTwoTypesIsRefused) {
  pickle::Tensor tensor = Wq();
  tensor.type = DataType::kF16;
  tensor.key = absl::StrCat(IndexOf(kWk));
  EXPECT_THAT(RefusalOfWq(tensor), HasSubstr("expected one type, found"));
}

// A few bytes that claim to be a large matrix, by strides of zero.
TEST_F(HostileCheckpointTest, ElementsThatRepeatAreRefused) {
  pickle::Tensor tensor = Wq();
  tensor.elements = 1;
  tensor.strides = {0, 0};
  TorchParts parts = MakeTorchParts(tensors_, kModel.type);
  parts.items[IndexOf(kWq)].second = pickle::Rebuild(tensor);
  parts.storages[IndexOf(kWq)].data.resize(2);
  EXPECT_THAT(Refusal(parts), HasSubstr("expected no more elements than its storage has, 1"));
}

TEST_F(HostileCheckpointTest, ManyCopiesOfOneStorageAreRefusedBeforeTheyAreMade) {
  const TinyModel large = {.dim = 64,
                           .n_layers = 30,
                           .n_heads = 1,
                           .n_kv_heads = 1,
                           .vocab_size = 64,
                           .multiple_of = 64};
  folder_.Write("params.json", TinyParams(large));
  // One transposed matrix for all, so that each would need a copy.
  pickle::Tensor shared = {.key = "0", .elements = int64_t{128} * 128, .shape = {}, .strides = {}};
  TorchParts parts;
  for (const TinyTensor& tensor : TinyTensors(large)) {
    shared.shape = tensor.shape;
    shared.strides = {1};
    if (tensor.shape.size() == 2) shared.strides = {1, 128};
    parts.items.emplace_back(tensor.name, pickle::Rebuild(shared));
  }
  parts.storages = {{.name = "archive/data/0", .data = std::string(size_t{2} * 128 * 128, '\0')}};
  folder_.Write(kFile, parts.Write());
  const auto checkpoint = Checkpoint::Load(folder_.path(), {});
  ASSERT_FALSE(checkpoint.ok());
  EXPECT_THAT(std::string(checkpoint.status().message()), HasSubstr("expected tensors of at most"));
}

TEST_F(HostileCheckpointTest, ViewsOfASharedStorageAreRead) {
  // wk is the second half of a storage whose first half, transposed, is wq.
  TorchParts parts = MakeTorchParts(tensors_, kModel.type);
  const std::vector<float> wq = Tensor(kWq).values;
  const std::vector<float> wk = Tensor(kWk).values;
  std::vector<float> both(32);
  for (size_t r = 0; r < 4; ++r) {
    for (size_t c = 0; c < 4; ++c) both[c * 4 + r] = wq[r * 4 + c];
  }
  std::copy(wk.begin(), wk.end(), both.begin() + 16);
  parts.storages[IndexOf(kWq)].data = Encode(both, kModel.type);
  parts.storages.erase(parts.storages.begin() + static_cast<ptrdiff_t>(IndexOf(kWk)));
  pickle::Tensor tensor = Wq();
  tensor.elements = 32;
  tensor.strides = {1, 4};
  parts.items[IndexOf(kWq)].second = pickle::Rebuild(tensor);
  tensor.strides = {4, 1};
  tensor.offset = 16;
  parts.items[IndexOf(kWk)].second = pickle::Rebuild(tensor);
  folder_.Write(kFile, parts.Write());
  const auto checkpoint = Checkpoint::Load(folder_.path(), {});
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  for (size_t i = 0; i < 16; ++i) {
    EXPECT_EQ(ToFloat((*checkpoint)->weights().layers[0].wq.bf16()[i]), wq[i]);
    EXPECT_EQ(ToFloat((*checkpoint)->weights().layers[0].wk.bf16()[i]), wk[i]);
  }
}

TEST_F(HostileCheckpointTest, AWeightThatIsNoFiniteNumberIsNamedWithItsIndex) {
  for (const DataType type : {DataType::kBf16, DataType::kF16, DataType::kF32}) {
    for (const float value : {NAN, -NAN, INFINITY, -INFINITY}) {
      tensors_ = TinyTensors(kModel);
      Tensor(kWq).values[4 * 2 + 3] = value;
      EXPECT_THAT(Refusal(MakeTorchParts(tensors_, type)),
                  HasSubstr("wq.weight\"[2, 3]: expected a finite weight"));
      tensors_ = TinyTensors(kModel);
      Tensor("norm.weight").values[1] = value;
      EXPECT_THAT(Refusal(MakeTorchParts(tensors_, type)),
                  HasSubstr("\"norm.weight\"[1]: expected a finite weight"));
    }
  }
}

TEST_F(HostileCheckpointTest, AnF32WeightBeyondBf16IsRefusedUnlessF32IsAskedFor) {
  Tensor(kWq).values[0] = 3.4e38F;
  folder_.Write(kFile, MakeTorchParts(tensors_, DataType::kF32).Write());
  const auto bf16 = Checkpoint::Load(folder_.path(), {});
  EXPECT_THAT(std::string(bf16.status().message()), HasSubstr(kWq));
  EXPECT_TRUE(Checkpoint::Load(folder_.path(), {.weights = DataType::kF32}).ok());
}

TEST_F(HostileCheckpointTest, CodeInThePickleIsNotRun) {
  const std::string marker = folder_.Path("marker");
  TorchParts parts = MakeTorchParts(tensors_, kModel.type);
  parts.items[0].second = pickle::Call(pickle::Global("os", "system"),
                                       pickle::Tuple({pickle::Text("touch " + marker)}));
  EXPECT_THAT(Refusal(parts), HasSubstr("os.system"));
  EXPECT_FALSE(std::filesystem::exists(marker));
}

TEST_F(HostileCheckpointTest, BigEndianFilesAreRefused) {
  TorchParts parts = MakeTorchParts(tensors_, kModel.type);
  parts.storages.push_back({.name = "archive/byteorder", .data = "big"});
  EXPECT_THAT(Refusal(parts), HasSubstr("byteorder"));
  // As newer versions of torch write it.
  parts.storages.back().data = "little";
  parts.storages.push_back({.name = "archive/.data/serialization_id", .data = "0123456789"});
  folder_.Write(kFile, parts.Write());
  EXPECT_TRUE(Checkpoint::Load(folder_.path(), {}).ok());
}

TEST_F(HostileCheckpointTest, FilesThatAreNoTorchFilesAreRefused) {
  folder_.Write(kFile, WriteZip({{.name = "a/readme", .data = "x"}}));
  EXPECT_FALSE(Checkpoint::Load(folder_.path(), {}).ok());
  TorchParts parts = MakeTorchParts(tensors_, kModel.type);
  parts.storages.push_back({.name = "other/data.pkl", .data = "x"});
  EXPECT_THAT(Refusal(parts), HasSubstr("two entries named data.pkl"));
  std::filesystem::remove(folder_.Path(kFile));
  std::filesystem::create_directory(folder_.Path(kFile));
  EXPECT_EQ(Checkpoint::Load(folder_.path(), {}).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

class HostileFilesTest : public testing::Test {
 protected:
  HostileFilesTest() { WriteModel({}, folder_.path(), 2); }
  std::string Refusal() {
    const auto checkpoint = Checkpoint::Load(folder_.path(), {});
    EXPECT_FALSE(checkpoint.ok());
    return std::string(checkpoint.status().message());
  }
  TempFolder folder_;
};

TEST_F(HostileFilesTest, NormsThatDifferBetweenFilesAreRefused) {
  std::vector<TinyTensor> second = FilePart(TinyTensors({}), 1, 2);
  for (TinyTensor& tensor : second) {
    if (tensor.name == "norm.weight") tensor.values[3] += 0.25F;
  }
  folder_.Write("consolidated.01.pth", MakeTorchParts(second, DataType::kBf16).Write());
  EXPECT_THAT(Refusal(), AllOf(HasSubstr("consolidated.01.pth"), HasSubstr("norm.weight")));
}

TEST_F(HostileFilesTest, FilesOfDifferentTypesAreRefused) {
  folder_.Write("consolidated.01.pth",
                MakeTorchParts(FilePart(TinyTensors({}), 1, 2), DataType::kF16).Write());
  EXPECT_THAT(Refusal(), HasSubstr("expected bf16 as in the first file, found f16"));
}

TEST_F(HostileFilesTest, AFileMissingInBetweenIsAskedForByName) {
  std::filesystem::rename(folder_.Path("consolidated.01.pth"), folder_.Path("consolidated.02.pth"));
  EXPECT_THAT(Refusal(), HasSubstr("consolidated.01.pth"));
}

TEST_F(HostileFilesTest, OnePartAloneIsNotTakenForTheModel) {
  std::filesystem::remove(folder_.Path("consolidated.01.pth"));
  EXPECT_THAT(Refusal(), HasSubstr("expected shape [64, 32], found [64, 16]"));
}

TEST_F(HostileFilesTest, SizesThatCannotBeDividedAmongTheFilesAreRefused) {
  std::filesystem::copy_file(folder_.Path("consolidated.01.pth"),
                             folder_.Path("consolidated.02.pth"));
  EXPECT_THAT(Refusal(), HasSubstr("cannot be divided among 3 files"));
}

}  // namespace
}  // namespace llama
