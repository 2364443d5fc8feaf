#include "services/model/served_model.h"

#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/model/engine/scheduler.h"

namespace llama {
namespace {

using testing::HasSubstr;

// Of contexts of 512 tokens, eight at the same time.
ServedModelOptions Options(int64_t memory_limit_bytes) {
  return {.folder = std::string(LLAMA_TEST_DATA) + "/stories260K",
          .threads = 1,
          .context_length = 512,
          .memory_limit_bytes = memory_limit_bytes,
          .max_batch_tokens = 64,
          .engine = {.max_running = 8}};
}

TEST(PlanComputeTest, WithMemoryToSpareEveryRunningSequenceMayFillItsContext) {
  const auto plan = PlanCompute(Options(int64_t{1} << 40));
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->kv_blocks, 8 * Scheduler::BlocksFor(512));
}

TEST(PlanComputeTest, TheCacheIsWhatMemoryLeavesAfterAReserve) {
  const ComputePlan ample = PlanCompute(Options(int64_t{1} << 40)).value();
  const int64_t block = ample.kv_cache_bytes / ample.kv_blocks;
  const int64_t others = ample.weight_bytes + ample.scratch_bytes;
  const int64_t least = Scheduler::BlocksFor(512);
  int64_t between = 0;
  for (int64_t limit = others; limit < 2 * (others + ample.kv_cache_bytes); limit += block / 3) {
    const auto plan = PlanCompute(Options(limit));
    if (!plan.ok()) {
      EXPECT_EQ(plan.status().code(), absl::StatusCode::kResourceExhausted);
      EXPECT_THAT(plan.status().message(), HasSubstr("of weights"));
      EXPECT_THAT(plan.status().message(), HasSubstr("the limit is"));
      EXPECT_LT(limit, others + least * block) << "one sequence would fit";
      continue;
    }
    EXPECT_EQ(plan->memory_limit_bytes, limit);
    EXPECT_LE(others + plan->kv_cache_bytes, limit);
    ASSERT_GE(plan->kv_blocks, least);
    ASSERT_LE(plan->kv_blocks, 8 * least);
    if (plan->kv_blocks == least || plan->kv_blocks == 8 * least) continue;
    ++between;
    const int64_t left = limit - others - plan->kv_cache_bytes;
    EXPECT_GE(left, limit / 10);
    EXPECT_LT(left, limit / 10 + block);
  }
  EXPECT_GT(between, 100);
}

TEST(PlanComputeTest, ANameIsUtf8) {
  ServedModelOptions options = Options(int64_t{1} << 30);
  for (const auto& [name, folder] : std::vector<std::pair<std::string, std::string>>{
           {"mod\xE8le", options.folder}, {"", "/models/mod\xE8le/"}}) {
    options.name = name;
    options.folder = folder;
    EXPECT_EQ(PlanCompute(options).status().message(),
              "--model_name, or the folder's name: expected UTF-8, found \"mod\\xe8le\"");
  }
  options = Options(int64_t{1} << 30);
  options.name = "mod\xC3\xA8le";
  EXPECT_TRUE(PlanCompute(options).ok());
}

TEST(PlanComputeTest, AGivenCacheIsTakenAsItIsOrRefused) {
  ServedModelOptions options = Options(int64_t{1} << 40);
  const ComputePlan ample = PlanCompute(options).value();
  const int64_t block = ample.kv_cache_bytes / ample.kv_blocks;
  options.kv_cache_bytes = 5 * block + block / 2;
  EXPECT_EQ(PlanCompute(options)->kv_blocks, 5);
  options.kv_cache_bytes = block - 1;
  EXPECT_EQ(PlanCompute(options).status().code(), absl::StatusCode::kInvalidArgument);
  options.kv_cache_bytes = int64_t{1} << 40;
  EXPECT_EQ(PlanCompute(options).status().code(), absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace llama
