#include "common/server_flags.h"

#include "absl/flags/flag.h"

ABSL_FLAG(
    std::string, log_level, "info",
    "Least level that is logged, to standard error: trace, debug, info, warning, error, off.");
ABSL_FLAG(std::string, log_format, "text", "How a line of the log looks: text or json.");
ABSL_FLAG(
    std::string, metrics_listen, "",
    "Address that serves metrics to Prometheus, at http://HOST:PORT/metrics, in plain text and "
    "to everybody; :PORT is on 127.0.0.1; empty: nowhere.");
ABSL_FLAG(
    absl::Duration, drain_timeout, absl::Seconds(30),
    "How long calls under way may take to finish after SIGTERM or SIGINT; a second signal ends "
    "the program at once.");
