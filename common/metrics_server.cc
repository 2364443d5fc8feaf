#include "common/metrics_server.h"

#include <atomic>
#include <cstdint>
#include <exception>
#include <thread>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "civetweb.h"

namespace llama {
namespace {

constexpr int64_t kMaxPort = 65535;

// The one address that `listen` means. What else the HTTP server would understand (lists, TLS,
// redirections, a port alone on all addresses) is refused.
absl::StatusOr<std::string> ParseListen(absl::string_view listen) {
  const absl::Status invalid = absl::InvalidArgumentError(
      absl::StrCat("--metrics_listen: expected HOST:PORT or :PORT, found ", listen));
  const size_t colon = listen.rfind(':');
  if (colon == absl::string_view::npos) return invalid;
  const absl::string_view host = listen.substr(0, colon);
  const absl::string_view digits = listen.substr(colon + 1);
  int64_t port = 0;
  if (digits.empty() || digits.find_first_not_of("0123456789") != absl::string_view::npos ||
      !absl::SimpleAtoi(digits, &port) || port > kMaxPort) {
    return invalid;
  }
  if (host.empty()) return absl::StrCat("127.0.0.1:", port);
  constexpr char kHost[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-";
  constexpr char kIpv6[] = "abcdefABCDEF0123456789:.";
  const bool is_ipv6 = host.size() > 2 && host.front() == '[' && host.back() == ']';
  const absl::string_view name = is_ipv6 ? host.substr(1, host.size() - 2) : host;
  if (name.find_first_not_of(is_ipv6 ? kIpv6 : kHost) != absl::string_view::npos) return invalid;
  return absl::StrCat(host, ":", port);
}

// Opens and closes a connection to the server.
void Knock(absl::string_view address) {
  const size_t colon = address.rfind(':');
  std::string host(address.substr(0, colon));
  if (host.front() == '[') host = host.substr(1, host.size() - 2);
  int port = 0;
  char error[128] = {};
  if (!absl::SimpleAtoi(address.substr(colon + 1), &port)) return;
  mg_connection* const connection = mg_connect_client(host.c_str(), port, 0, error, sizeof(error));
  if (connection != nullptr) mg_close_connection(connection);
}

}  // namespace

absl::StatusOr<std::unique_ptr<MetricsServer>> MetricsServer::Start(
    absl::string_view listen, std::vector<std::shared_ptr<prometheus::Collectable>> sources) {
  if (listen.empty()) return nullptr;
  const absl::StatusOr<std::string> address = ParseListen(listen);
  if (!address.ok()) return address.status();
  std::unique_ptr<MetricsServer> server(new MetricsServer());
  server->sources_ = std::move(sources);
  // A client that sends nothing gives its thread back soon.
  const std::vector<std::string> options = {"listening_ports",    *address, "num_threads", "4",
                                            "request_timeout_ms", "3000"};
  try {
    server->exposer_ = std::make_unique<prometheus::Exposer>(options);
  } catch (const std::exception&) {  // Which says no more than that.
    return absl::UnavailableError(
        absl::StrCat("cannot serve metrics on ", listen,
                     ": the port is in use, or the address is not this machine's"));
  }
  for (const auto& source : server->sources_) server->exposer_->RegisterCollectable(source);
  const std::vector<int> ports = server->exposer_->GetListeningPorts();
  server->address_ = absl::StrCat(address->substr(0, address->rfind(':')), ":", ports.front());
  return server;
}

MetricsServer::~MetricsServer() {
  std::atomic<bool> stopped = exposer_ == nullptr;
  const std::jthread stopping([&] {
    exposer_ = nullptr;
    stopped = true;
  });
  // The HTTP server looks whether it shall stop every 2 s, or after it was called.
  while (!stopped) {
    Knock(address_);
    absl::SleepFor(absl::Milliseconds(5));
  }
}

}  // namespace llama
