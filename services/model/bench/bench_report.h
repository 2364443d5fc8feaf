#ifndef LLAMA_SERVICES_MODEL_BENCH_BENCH_REPORT_H_
#define LLAMA_SERVICES_MODEL_BENCH_BENCH_REPORT_H_

#include <functional>
#include <string>

#include "services/model/bench/bench.h"

namespace llama {

// Gives `write` one JSON object per result, a line each: {"test":"decode","batch":1,…}.
BenchSink JsonReport(std::function<void(const std::string&)> write);
// The same as a table for people.
BenchSink TableReport(std::function<void(const std::string&)> write);

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_BENCH_BENCH_REPORT_H_
