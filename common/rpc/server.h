#ifndef LLAMA_COMMON_RPC_SERVER_H_
#define LLAMA_COMMON_RPC_SERVER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/rpc/call_record.h"
#include "common/rpc/credentials.h"
#include "common/rpc/serving_gate.h"
#include "grpcpp/grpcpp.h"

namespace llama {

struct ServerOptions {
  // "host:port"; port 0 picks a free one.
  std::string listen = "127.0.0.1:0";
  absl::Duration drain_timeout = absl::Seconds(30);
  // After about this long a client has to connect again for further calls, so that it finds servers
  // that are new. Calls under way may go on for a day.
  absl::Duration max_connection_age = absl::Minutes(5);
  ServerAccess access = {};
  // Whether only services call, which tell on whose behalf (kCallerMetadata). Not where end clients
  // call: each could be as many callers as it likes.
  bool callers_are_services = false;
  // Are told of every call, as WatchCalls() has it.
  std::vector<CallObserver> call_observers = {};
};

struct NamedService {
  std::string name;  // "llama.v1.ModelService": what its health is asked by.
  grpc::Service* service;
};

// A gRPC server with the parts that every program of this project has: the callback services given,
// grpc.health.v1 (service "" is SERVING from the start, the services' full names once
// SetReady(true)) with Watch, reflection v1alpha, limits (message 4 MiB, metadata 8 KiB, 100
// streams a connection), keepalive, and no sharing of a port that is taken. Thread-safe.
class Server {
 public:
  // Opens the port and serves. Each service's handlers enter `gate` themselves. Services and gate
  // must outlive the server. Errors: UNAVAILABLE, naming the address that could not be bound;
  // INVALID_ARGUMENT for an address that cannot be parsed.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const ServerOptions& options,
                                                       const std::vector<NamedService>& services,
                                                       ServingGate& gate);
  // Drain() with no time, if it was not called.
  ~Server();

  // The health of the services by name. NOT_SERVING until set, and from Drain() on.
  void SetReady(bool ready);
  // Where it listens: "127.0.0.1:50051", with the port that was picked.
  const std::string& address() const;

  // Health flips at once, new calls get DRAINING, calls under way have `drain_timeout` to finish
  // and are then cancelled. Returns when all are over. Returns whether none had to be cancelled.
  bool Drain();

 private:
  class Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace llama

#endif  // LLAMA_COMMON_RPC_SERVER_H_
