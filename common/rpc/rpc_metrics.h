#ifndef LLAMA_COMMON_RPC_RPC_METRICS_H_
#define LLAMA_COMMON_RPC_RPC_METRICS_H_

#include <memory>
#include <string>
#include <vector>

#include "common/rpc/call_record.h"
#include "prometheus/registry.h"

namespace llama {

// Makes the calls of a server metrics: lnb_rpc_requests_total by method and code, and
// lnb_rpc_refusals_total by reason; lnb_rpc_duration_seconds by method, and
// lnb_rpc_first_token_seconds by each method that streams its reply. Probes are left out. However
// wild the clients, the labels are few: methods that `services` do not have are all "other", and so
// are reasons after the first 32. `services`: full names of services that are linked into the
// program. The observer is thread-safe, and keeps the registry.
CallObserver CountCalls(const std::vector<std::string>& services,
                        std::shared_ptr<prometheus::Registry> registry);

}  // namespace llama

#endif  // LLAMA_COMMON_RPC_RPC_METRICS_H_
