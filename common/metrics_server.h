#ifndef LLAMA_COMMON_METRICS_SERVER_H_
#define LLAMA_COMMON_METRICS_SERVER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "prometheus/collectable.h"
#include "prometheus/exposer.h"

namespace llama {

// Where Prometheus fetches a program's metrics: http://ADDRESS/metrics, in its text format. Plain
// text, without authentication, so that it listens on loopback unless told otherwise. Serves on
// threads of its own until it is destroyed.
class MetricsServer {
 public:
  // `listen`: "HOST:PORT", or ":PORT" for 127.0.0.1's; port 0 picks a free one. Empty: null, for
  // nobody shall see them. `sources` are kept, and asked on the server's threads. Errors:
  // INVALID_ARGUMENT, blaming --metrics_listen; UNAVAILABLE, naming the address, if it cannot be
  // bound.
  static absl::StatusOr<std::unique_ptr<MetricsServer>> Start(
      absl::string_view listen, std::vector<std::shared_ptr<prometheus::Collectable>> sources);

  // Ends the fetches under way, which takes their time.
  ~MetricsServer();

  // Where it listens: "127.0.0.1:9464", with the port that was picked.
  const std::string& address() const { return address_; }

 private:
  MetricsServer() = default;

  std::vector<std::shared_ptr<prometheus::Collectable>> sources_;
  std::string address_;
  std::unique_ptr<prometheus::Exposer> exposer_;
};

}  // namespace llama

#endif  // LLAMA_COMMON_METRICS_SERVER_H_
