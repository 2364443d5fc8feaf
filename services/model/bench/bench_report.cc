#include "services/model/bench/bench_report.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace llama {

BenchSink JsonReport(std::function<void(const std::string&)> write) {
  return {.limits =
              [write](const MachineLimits& limits) {
                write(absl::StrFormat(
                    R"({"test":"limits","read_gigabytes_per_second":%.2f,"peak_gigaflops":%.1f})"
                    "\n",
                    limits.read_bytes_per_second / 1e9, limits.flops_per_second / 1e9));
              },
          .load =
              [write](const LoadResult& load) {
                write(absl::StrFormat(R"({"test":"load","seconds":%.3f,"bytes":%d,"ratio":%.3f,)"
                                      R"("read_ratio":%.3f,"weights":"%s"})"
                                      "\n",
                                      load.seconds, load.bytes, load.ratio, load.read_ratio,
                                      load.resident ? "resident" : "mapped"));
              },
          .prefill =
              [write](const PrefillResult& prefill) {
                write(absl::StrFormat(
                    R"({"test":"prefill","tokens":%d,"tokens_per_second":%.2f,"ratio":%.3f,)"
                    R"("ratio_with_attention":%.3f})"
                    "\n",
                    prefill.tokens, prefill.tokens_per_second, prefill.ratio,
                    prefill.ratio_with_attention));
              },
          .decode =
              [write](const DecodeResult& decode) {
                write(absl::StrFormat(
                    R"({"test":"decode","batch":%d,"context":%d,"tokens_per_second":%.2f,)"
                    R"("ratio":%.3f,"memory_ratio":%.3f,"arithmetic_ratio":%.3f})"
                    "\n",
                    decode.batch, decode.context, decode.tokens_per_second, decode.ratio,
                    decode.memory_ratio, decode.arithmetic_ratio));
              },
          .replies =
              [write](const RepliesResult& replies) {
                write(absl::StrFormat(R"({"test":"replies","streams":%d,"tokens_per_second":%.2f})"
                                      "\n",
                                      replies.streams, replies.tokens_per_second));
              },
          .memory =
              [write](const MemoryResult& memory) {
                write(absl::StrFormat(
                    R"({"test":"memory","resident_bytes":%d,"weight_bytes":%d,"kv_cache_bytes":%d})"
                    "\n",
                    memory.resident_bytes, memory.weight_bytes, memory.kv_cache_bytes));
              }};
}

BenchSink TableReport(std::function<void(const std::string&)> write) {
  const auto row = [write](const std::string& test, double speed, const char* unit, double share,
                           const std::string& limit) {
    write(absl::StrFormat("%-34s %10.2f %-9s %5.1f %% of %s\n", test, speed, unit, share * 100,
                          limit));
  };
  return {
      .limits =
          [write](const MachineLimits& limits) {
            write(absl::StrFormat("%-34s %10.2f GB/s read, %.0f GFLOP/s\n", "the machine's limits",
                                  limits.read_bytes_per_second / 1e9,
                                  limits.flops_per_second / 1e9));
          },
      .load =
          [row](const LoadResult& load) {
            row(absl::StrFormat("load, %.2f GB verified, %s", static_cast<double>(load.bytes) / 1e9,
                                load.resident ? "resident" : "mapped"),
                load.seconds, "s", load.read_ratio,
                absl::StrFormat("the read speed, %.1f %% of touching the pages", load.ratio * 100));
          },
      .prefill =
          [row](const PrefillResult& prefill) {
            row(absl::StrCat("prefill of ", prefill.tokens), prefill.tokens_per_second, "tokens/s",
                prefill.ratio_with_attention, "the peak, attention counted");
          },
      .decode =
          [row](const DecodeResult& decode) {
            row(absl::StrCat("decode, batch ", decode.batch, " at ", decode.context),
                decode.tokens_per_second, "tokens/s", decode.ratio,
                decode.memory_ratio >= decode.arithmetic_ratio ? "the read speed" : "the peak");
          },
      .replies =
          [write](const RepliesResult& replies) {
            write(absl::StrFormat("%-34s %10.2f tokens/s, sampled\n",
                                  absl::StrCat("replies, ", replies.streams, " at a time"),
                                  replies.tokens_per_second));
          },
      .memory =
          [write](const MemoryResult& memory) {
            write(absl::StrFormat(
                "%-34s %10.2f MB beside %.2f GB of weights and %.2f GB of KV cache\n",
                "resident memory",
                // Less than none where memory is short: mapped weights give way.
                static_cast<double>(std::max<int64_t>(
                    0, memory.resident_bytes - memory.weight_bytes - memory.kv_cache_bytes)) /
                    1e6,
                static_cast<double>(memory.weight_bytes) / 1e9,
                static_cast<double>(memory.kv_cache_bytes) / 1e9));
          }};
}

}  // namespace llama
