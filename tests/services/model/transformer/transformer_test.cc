#include "services/model/transformer/transformer.h"

#include <cmath>
#include <cstring>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/read_file.h"
#include "gtest/gtest.h"

namespace llama {
namespace {

// What tests/reference/make_reference.py wrote.
struct Reference {
  std::vector<uint32_t> tokens;
  std::vector<uint32_t> positions;
  size_t vocabulary = 0;
  std::vector<float> logits;  // [positions, vocabulary]
};

Reference ReadReference(const std::string& name) {
  const std::string file =
      ReadFile(absl::StrCat(LLAMA_TEST_DATA, "/reference/", name, "/logits.bin"), 1 << 20).value();
  size_t at = 0;
  const auto take = [&](void* to, size_t bytes) {
    std::memcpy(to, file.data() + at, bytes);
    at += bytes;
  };
  uint32_t counts[3];
  take(counts, sizeof counts);
  Reference reference = {.tokens = std::vector<uint32_t>(counts[0]),
                         .positions = std::vector<uint32_t>(counts[1]),
                         .vocabulary = counts[2],
                         .logits = std::vector<float>(size_t{counts[1]} * counts[2])};
  take(reference.tokens.data(), size_t{4} * counts[0]);
  take(reference.positions.data(), size_t{4} * counts[1]);
  take(reference.logits.data(), reference.logits.size() * 4);
  EXPECT_EQ(at, file.size());
  return reference;
}

std::string FolderOf(const std::string& name) {
  return absl::StrCat(LLAMA_TEST_DATA, name == "stories260K" ? "/" : "/reference/", name);
}

// Logits of every position, the prompt given in chunks of `chunk` tokens.
std::vector<float> Evaluate(const std::string& name, DataType activations, const Kernels& kernels,
                            size_t threads, size_t chunk) {
  const Reference reference = ReadReference(name);
  const auto checkpoint = Checkpoint::Load(FolderOf(name), {.weights = activations});
  EXPECT_TRUE(checkpoint.ok()) << checkpoint.status();
  const ModelConfig& config = (*checkpoint)->config();
  ThreadTeam team(threads);
  Transformer transformer(config, (*checkpoint)->weights(), kernels, team,
                          {.activations = activations,
                           .context_length = 128,
                           .max_batch_tokens = 128,
                           .max_batch_logits = 128,
                           .worth_waking = 0});  // The models are tiny.
  const auto cache = KvCache::Create(config, activations, 8).value();
  // Blocks in an order of their own.
  const std::vector<KvBlock> blocks = {5, 2, 7, 0, 1, 6, 3, 4};
  std::vector<float> logits(reference.tokens.size() * reference.vocabulary);
  for (size_t begin = 0; begin < reference.tokens.size(); begin += chunk) {
    const size_t end = std::min(reference.tokens.size(), begin + chunk);
    std::vector<BatchToken> batch;
    for (size_t p = begin; p < end; ++p) {
      batch.push_back({.token = reference.tokens[p],
                       .position = static_cast<uint32_t>(p),
                       .blocks = blocks,
                       .wants_logits = true});
    }
    transformer.Forward(batch, *cache,
                        std::span(logits).subspan(begin * reference.vocabulary,
                                                  (end - begin) * reference.vocabulary));
  }
  return logits;
}

class TransformerTest : public testing::TestWithParam<std::string> {};

TEST_P(TransformerTest, LogitsArePyTorchsWithinTwoThousandths) {
  const Reference reference = ReadReference(GetParam());
  for (const Kernels* const kernels : SupportedKernels()) {
    const std::vector<float> logits = Evaluate(GetParam(), DataType::kF32, *kernels, 2, 7);
    for (size_t i = 0; i < reference.positions.size(); ++i) {
      for (size_t id = 0; id < reference.vocabulary; ++id) {
        ASSERT_NEAR(logits[reference.positions[i] * reference.vocabulary + id],
                    reference.logits[i * reference.vocabulary + id], 0.002)
            << kernels->name << ", position " << reference.positions[i] << ", token " << id;
      }
    }
  }
}

TEST_P(TransformerTest, Bf16ActivationsStayCloseToTheReference) {
  const Reference reference = ReadReference(GetParam());
  for (const Kernels* const kernels : SupportedKernels()) {
    const std::vector<float> logits = Evaluate(GetParam(), DataType::kBf16, *kernels, 1, 128);
    double error = 0;
    double power = 0;
    for (size_t i = 0; i < reference.positions.size(); ++i) {
      for (size_t id = 0; id < reference.vocabulary; ++id) {
        const double expected = reference.logits[i * reference.vocabulary + id];
        const double found = logits[reference.positions[i] * reference.vocabulary + id];
        error += (found - expected) * (found - expected);
        power += expected * expected;
      }
    }
    // A bf16 number is off by up to 2^-9; some dozens of roundings lie on the way to a logit.
    EXPECT_LT(std::sqrt(error / power), 0.03) << kernels->name;
  }
}

TEST_P(TransformerTest, LogitsDependNeitherOnThreadsNorOnChunks) {
  for (const DataType activations : {DataType::kBf16, DataType::kF32}) {
    for (const Kernels* const kernels : SupportedKernels()) {
      const std::vector<float> expected = Evaluate(GetParam(), activations, *kernels, 1, 128);
      for (const auto& [threads, chunk] :
           std::vector<std::pair<size_t, size_t>>{{1, 1}, {2, 5}, {4, 16}, {2, 23}}) {
        ASSERT_EQ(Evaluate(GetParam(), activations, *kernels, threads, chunk), expected)
            << kernels->name << ", " << threads << " threads, chunks of " << chunk;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, TransformerTest,
                         testing::Values("gqa_head6", "mha_head10_f32", "gqa_head36_f16",
                                         "two_files", "views", "stories260K"),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace llama
