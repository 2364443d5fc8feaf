#include "services/model/checkpoint/checkpoint.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/read_file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/temp_folder.h"

namespace llama {
namespace {

using testing::HasSubstr;

class CheckpointTest : public testing::Test {
 protected:
  CheckpointTest() {
    WriteFile("params.json", params_);
    WriteFile("consolidated.00.pth", file_);
  }

  static std::string Original(const std::string& name) {
    return ReadFile(absl::StrCat(LLAMA_TEST_DATA, "/stories260K/", name), 1 << 20).value();
  }
  void WriteFile(const std::string& name, const std::string& content) const {
    std::ofstream(folder_ + "/" + name, std::ios::binary) << content;
  }
  absl::Status Load(bool verify = true) const {
    return Checkpoint::Load(folder_, {.verify = verify, .threads = 2}).status();
  }
  std::string Message(bool verify = true) const { return std::string(Load(verify).message()); }

  const TempFolder temp_;
  const std::string folder_ = temp_.path();
  const std::string params_ = Original("params.json");
  const std::string file_ = Original("consolidated.00.pth");
};

TEST_F(CheckpointTest, ARealCheckpointLoads) {
  double last = 0;
  const auto checkpoint = Checkpoint::Load(folder_, {.threads = 2, .progress = [&](double part) {
                                                       EXPECT_GE(part, last);
                                                       last = part;
                                                     }});
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  EXPECT_EQ(last, 1);
  EXPECT_EQ((*checkpoint)->config().vocab_size, 512);
  EXPECT_EQ((*checkpoint)->config().head_dim, 8);
  EXPECT_EQ((*checkpoint)->config().ffn_hidden_dim, 172);
  EXPECT_EQ((*checkpoint)->weights().layers.size(), 5u);
  EXPECT_EQ((*checkpoint)->weights().layers[4].wk.rows, 32u);
  EXPECT_EQ((*checkpoint)->digest().size(), 64u);
  EXPECT_EQ((*checkpoint)->tensors().front().name, "tok_embeddings.weight");
}

TEST_F(CheckpointTest, TheVocabularyMayBeLeftToTheTensors) {
  WriteFile("params.json",
            R"({"dim": 64, "multiple_of": 4, "n_heads": 8, "n_kv_heads": 4, "n_layers": 5,
                "norm_eps": 1e-05, "vocab_size": -1})");
  const auto checkpoint = Checkpoint::Load(folder_, {});
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  EXPECT_EQ((*checkpoint)->config().vocab_size, 512);
}

TEST_F(CheckpointTest, F32WeightsAreExactlyTheBf16Ones) {
  const auto bf16 = Checkpoint::Load(folder_, {}).value();
  const auto f32 = Checkpoint::Load(folder_, {.weights = DataType::kF32}).value();
  EXPECT_EQ(f32->weights().output.type, DataType::kBf16) << "bf16 is exact already";
  EXPECT_EQ(f32->weight_bytes(), bf16->weight_bytes());
}

TEST_F(CheckpointTest, AFileCutAnywhereIsRefusedByName) {
  // The file is large; every structure lies near one of its ends.
  for (size_t size = file_.size(); size > 0;) {
    size -= std::min<size_t>(size, size + 6000 > file_.size() ? 1 : 997);
    std::filesystem::resize_file(folder_ + "/consolidated.00.pth", size);
    const absl::Status status = Load(false);
    ASSERT_FALSE(status.ok()) << "cut at " << size;
    ASSERT_THAT(std::string(status.message()), HasSubstr("consolidated.00.pth"));
  }
}

TEST_F(CheckpointTest, ADamagedByteAnywhereIsNoticedAndNeverCrashes) {
  std::fstream file(folder_ + "/consolidated.00.pth");
  for (size_t at = 0; at < file_.size(); at += at < 3000 || at + 6000 > file_.size() ? 11 : 9973) {
    const auto place = static_cast<std::streamoff>(at);
    file.seekp(place).put(static_cast<char>(file_[at] ^ 0x41)).flush();
    const absl::Status status = Load();
    file.seekp(place).put(file_[at]).flush();
    // Times, versions and padding carry no meaning; everything else does.
    if (status.ok()) continue;
    ASSERT_THAT(std::string(status.message()), HasSubstr("consolidated.00.pth")) << "at " << at;
  }
}

TEST_F(CheckpointTest, DamagedWeightsNameTheEntryAndBothSums) {
  std::string damaged = file_;
  damaged[file_.size() / 2] = static_cast<char>(damaged[file_.size() / 2] ^ 1);
  WriteFile("consolidated.00.pth", damaged);
  EXPECT_EQ(Load().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(Message(), HasSubstr("expected CRC-32"));
  EXPECT_TRUE(Load(false).ok()) << "structure only";
}

TEST_F(CheckpointTest, ParamsThatDoNotFitTheTensorsNameBothShapes) {
  WriteFile("params.json", R"({"dim": 64, "multiple_of": 4, "n_heads": 8, "n_layers": 5})");
  EXPECT_THAT(Message(),
              HasSubstr("attention.wk.weight\": expected shape [64, 64], found [32, 64]"));
  WriteFile("params.json",
            R"({"dim": 64, "multiple_of": 4, "n_heads": 8, "n_kv_heads": 4, "n_layers": 4})");
  EXPECT_THAT(Message(), HasSubstr("not a part of this model"));
  WriteFile("params.json",
            R"({"dim": 64, "multiple_of": 4, "n_heads": 8, "n_kv_heads": 4, "n_layers": 6})");
  EXPECT_THAT(Message(), HasSubstr("layers.5.attention_norm.weight\": missing"));
}

TEST_F(CheckpointTest, MissingFilesAreNamed) {
  std::filesystem::remove(folder_ + "/consolidated.00.pth");
  EXPECT_THAT(Message(), HasSubstr("consolidated.00.pth"));
  std::filesystem::remove(folder_ + "/params.json");
  EXPECT_THAT(Message(), HasSubstr("params.json"));
}

}  // namespace
}  // namespace llama
