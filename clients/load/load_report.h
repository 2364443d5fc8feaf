#ifndef LLAMA_CLIENTS_LOAD_LOAD_REPORT_H_
#define LLAMA_CLIENTS_LOAD_LOAD_REPORT_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "clients/load/load_runner.h"

namespace llama {

// Of so many values; all 0 if there are none.
struct Percentiles {
  int64_t count = 0;
  absl::Duration p50, p90, p99, max;
};
Percentiles PercentilesOf(std::vector<absl::Duration> values);

struct LoadReport {
  int64_t requests = 0;
  int64_t replies = 0;                      // Whole ones.
  int64_t cancelled = 0;                    // By the clients, as planned.
  std::map<std::string, int64_t> failures;  // By reason, or the name of the code.
  // Whole replies that differ from the reply to the same request in `reference`.
  int64_t different = 0;
  absl::Duration duration;
  double requests_per_second = 0;  // Whole replies.
  double tokens_per_second = 0;    // All that came.
  double goodput = 0;              // Tokens of whole replies per second.
  double cached_share = 0;         // Of the prompt tokens of whole replies, those from the cache.
  Percentiles first_token;         // Of whole replies.
  Percentiles gap;                 // Between two tokens of whole replies.
  Percentiles total;               // Of whole replies.
  Percentiles refusal;             // Until QUEUE_FULL, the client's own work included.
};

// `reference`: replies to requests by their kind, unloaded; may be empty.
LoadReport MakeReport(const LoadRun& run,
                      const std::map<int64_t, std::vector<uint32_t>>& reference);

// For people, in lines; and as one line of JSON, times in milliseconds.
std::string ToText(const LoadReport& report);
std::string ToJson(const LoadReport& report);

}  // namespace llama

#endif  // LLAMA_CLIENTS_LOAD_LOAD_REPORT_H_
