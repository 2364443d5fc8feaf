#include "services/model/bench/bench.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/model/bench/bench_report.h"
#include "services/model/bench/loading.h"

namespace llama {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

constexpr char kStories[] = LLAMA_TEST_DATA "/stories260K";

void ReportOneOfEach(const BenchSink& sink) {
  sink.limits({.read_bytes_per_second = 55.5e9, .flops_per_second = 900e9});
  sink.load({.seconds = 1.25, .bytes = 123, .ratio = 0.5, .read_ratio = 0.875});
  sink.prefill(
      {.tokens = 512, .tokens_per_second = 100, .ratio = 0.75, .ratio_with_attention = 0.8});
  sink.decode({.batch = 4,
               .context = 128,
               .tokens_per_second = 30.5,
               .ratio = 0.9,
               .memory_ratio = 0.9,
               .arithmetic_ratio = 0.25});
  sink.replies({.streams = 16, .tokens_per_second = 250.25});
  sink.memory({.resident_bytes = 3000000, .weight_bytes = 2000000, .kv_cache_bytes = 500000});
}

TEST(BenchReportTest, JsonIsOneObjectALine) {
  std::vector<std::string> lines;
  ReportOneOfEach(JsonReport([&](const std::string& line) { lines.push_back(line); }));
  EXPECT_THAT(
      lines,
      ElementsAre(
          "{\"test\":\"limits\",\"read_gigabytes_per_second\":55.50,\"peak_gigaflops\":900.0}\n",
          "{\"test\":\"load\",\"seconds\":1.250,\"bytes\":123,\"ratio\":0.500,"
          "\"read_ratio\":0.875,\"weights\":\"mapped\"}\n",
          "{\"test\":\"prefill\",\"tokens\":512,\"tokens_per_second\":100.00,\"ratio\":0.750,"
          "\"ratio_with_attention\":0.800}\n",
          "{\"test\":\"decode\",\"batch\":4,\"context\":128,\"tokens_per_second\":30.50,"
          "\"ratio\":0.900,\"memory_ratio\":0.900,\"arithmetic_ratio\":0.250}\n",
          "{\"test\":\"replies\",\"streams\":16,\"tokens_per_second\":250.25}\n",
          "{\"test\":\"memory\",\"resident_bytes\":3000000,\"weight_bytes\":2000000,"
          "\"kv_cache_bytes\":500000}\n"));
}

TEST(BenchReportTest, TheTableNamesTheLimitThatBinds) {
  std::vector<std::string> lines;
  ReportOneOfEach(TableReport([&](const std::string& line) { lines.push_back(line); }));
  EXPECT_THAT(lines,
              ElementsAre(HasSubstr("55.50 GB/s"),
                          HasSubstr("87.5 % of the read speed, 50.0 % of touching"),
                          HasSubstr("80.0 % of the peak"), HasSubstr("90.0 % of the read speed"),
                          HasSubstr("250.25 tokens/s, sampled"), HasSubstr("0.50 MB")));
}

TEST(BenchReportTest, NoMemoryIsLessThanNone) {
  std::vector<std::string> lines;
  TableReport([&](const std::string& line) {
    lines.push_back(line);
  }).memory({.resident_bytes = 1, .weight_bytes = 2000000, .kv_cache_bytes = 500000});
  EXPECT_THAT(lines, ElementsAre(HasSubstr(" 0.00 MB")));
}

TEST(BenchTest, MeasuresWhatWasAskedForInOrder) {
  std::vector<std::string> lines;
  const absl::Status status =
      RunBench({.folder = kStories,
                .kernels = SupportedKernels().back(),
                .threads = 2,
                .prompts = {20, 70},
                .batches = {1, 3},
                .contexts = {0, 40},
                .streams = {2, 5},
                .generate = 3,
                .max_batch_tokens = 32,
                .runs = 2,
                .read_bytes = 4 << 20},
               JsonReport([&](const std::string& line) { lines.push_back(line); }));
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_THAT(lines,
              ElementsAre(StartsWith("{\"test\":\"limits\""), StartsWith("{\"test\":\"load\""),
                          StartsWith("{\"test\":\"prefill\",\"tokens\":20,"),
                          StartsWith("{\"test\":\"prefill\",\"tokens\":70,"),
                          StartsWith("{\"test\":\"decode\",\"batch\":1,\"context\":0,"),
                          StartsWith("{\"test\":\"decode\",\"batch\":3,\"context\":0,"),
                          StartsWith("{\"test\":\"decode\",\"batch\":1,\"context\":40,"),
                          StartsWith("{\"test\":\"decode\",\"batch\":3,\"context\":40,"),
                          StartsWith("{\"test\":\"replies\",\"streams\":2,"),
                          StartsWith("{\"test\":\"replies\",\"streams\":5,"),
                          StartsWith("{\"test\":\"memory\"")));
}

// A token's keys and values: 2 x 5 layers x 4 heads x 8 elements of two bytes; a block is 16
// tokens.
TEST(BenchTest, TheLongestPromptsCacheIsCounted) {
  BenchSink sink = JsonReport([](const std::string&) {});
  MemoryResult memory;
  sink.memory = [&](const MemoryResult& result) { memory = result; };
  const absl::Status status = RunBench({.folder = kStories,
                                        .kernels = SupportedKernels().back(),
                                        .prompts = {70},
                                        .batches = {1},
                                        .contexts = {0},
                                        .generate = 3,
                                        .runs = 1,
                                        .read_bytes = 4 << 20},
                                       sink);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(memory.kv_cache_bytes, 5 * 16 * 2 * 5 * 4 * 8 * 2);
}

TEST(BenchTest, AFolderWithoutAModelIsNamed) {
  const absl::Status status = RunBench(
      {.folder = "/nonexistent", .kernels = SupportedKernels().back(), .read_bytes = 4096}, {});
  EXPECT_THAT(std::string(status.message()), HasSubstr("/nonexistent"));
}

TEST(BenchTest, WhatDoesNotFitIsRefusedWithTheSumBeforeLoading) {
  std::vector<std::string> lines;
  const absl::Status status =
      RunBench({.folder = kStories,
                .kernels = SupportedKernels().back(),
                .prompts = {16},
                .batches = {1 << 20},
                .contexts = {128},
                .memory_limit_bytes = int64_t{4} << 30},
               JsonReport([&](const std::string& line) { lines.push_back(line); }));
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr(kStories), HasSubstr("MB of weights + "),
                    HasSubstr("MB of KV cache + "), HasSubstr("the limit is 4295.0 MB")));
  EXPECT_THAT(lines, IsEmpty());
}

TEST(LoadingTest, TouchesAllBytesOfTheWeightFiles) {
  const absl::StatusOr<TouchedFiles> touched = TouchFiles(kStories, 2);
  ASSERT_TRUE(touched.ok()) << touched.status();
  EXPECT_GT(touched->bytes, 500000);
  EXPECT_GT(touched->seconds, 0);
  EXPECT_GT(ResidentBytes(), 1 << 20);
}

}  // namespace
}  // namespace llama
