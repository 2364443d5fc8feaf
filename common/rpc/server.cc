#include "common/rpc/server.h"

#include <cstdint>
#include <optional>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/mutex.h"
#include "common/rpc/call_watch.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "grpcpp/health_check_service_interface.h"

namespace llama {
namespace {

constexpr int64_t kMaxPort = 65'535;
constexpr int kMaxMessageBytes = 4 << 20;
constexpr int kMaxMetadataBytes = 8 << 10;
constexpr int kMaxStreamsPerConnection = 100;
// Longer than any reply takes: a call that was accepted is not cut short.
constexpr absl::Duration kConnectionGrace = absl::Hours(24);
constexpr absl::Duration kCancelTimeout = absl::Seconds(5);

void SetLimits(absl::Duration max_connection_age, grpc::ServerBuilder& builder) {
  builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMaxMetadataBytes);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxStreamsPerConnection);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS,
                             static_cast<int>(absl::ToInt64Milliseconds(max_connection_age)));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS,
                             static_cast<int>(absl::ToInt64Milliseconds(kConnectionGrace)));
  // A second server on the same port must fail, not share it.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  // A peer that vanished is noticed within 40 s; clients may ping as often as every 10 s.
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 9'000);
}

// Keeps the callback API awake. All its events go through one queue, whose threads sleep for 100 ms
// each time that they have waited for a second in vain; a call that finds all of them asleep waits
// too. An event every 300 ms sees to it that one of them is always waiting: a health check, within
// the process.
class Heartbeat {
 public:
  explicit Heartbeat(grpc::Server& server)
      : stub_(grpc::health::v1::Health::NewStub(server.InProcessChannel({}))),
        thread_([this] { Run(); }) {}
  ~Heartbeat() {
    {
      MutexLock lock(&mutex_);
      stop_ = true;
    }
    thread_.join();
  }

 private:
  void Run() {
    for (bool stop = false; !stop;) {
      grpc::ClientContext context;
      context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(1)));
      grpc::health::v1::HealthCheckResponse response;
      stub_->Check(&context, {}, &response).IgnoreError();
      MutexLock lock(&mutex_);
      stop = mutex_.AwaitUntil([this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return stop_; },
                               absl::Now() + absl::Milliseconds(300));
    }
  }

  const std::unique_ptr<grpc::health::v1::Health::Stub> stub_;
  Mutex mutex_;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace

class Server::Impl {
 public:
  Impl(const ServerOptions& options, ServingGate& gate)
      : drain_timeout_(options.drain_timeout),
        max_connection_age_(options.max_connection_age),
        credentials_(options.access.credentials != nullptr ? options.access.credentials
                                                           : grpc::InsecureServerCredentials()),
        watch_({.observers = options.call_observers,
                .tokens_are_checked = options.access.tokens_are_checked,
                .callers_are_services = options.callers_are_services}),
        gate_(gate) {}
  ~Impl() { Drain(absl::ZeroDuration()); }

  absl::Status Start(const std::string& listen, const std::vector<grpc::Service*>& services) {
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    grpc::ServerBuilder builder;
    SetLimits(max_connection_age_, builder);
    WatchCalls(watch_, builder);
    int port = 0;
    builder.AddListeningPort(listen, credentials_, &port);
    for (grpc::Service* const service : services) builder.RegisterService(service);
    server_ = builder.BuildAndStart();
    if (server_ == nullptr || port <= 0) {
      return absl::UnavailableError(
          absl::StrCat("cannot listen on ", listen,
                       ": the port is in use, or the address is not this machine's"));
    }
    heartbeat_.emplace(*server_);
    address_ = absl::StrCat(listen.substr(0, listen.rfind(':')), ":", port);
    return absl::OkStatus();
  }

  // `names` are the services' full names.
  void SetNames(std::vector<std::string> names) {
    names_ = std::move(names);
    SetReady(false);
  }
  void SetReady(bool ready) {
    MutexLock lock(&mutex_);
    if (draining_) return;
    for (const std::string& name : names_) {
      server_->GetHealthCheckService()->SetServingStatus(name, ready);
    }
  }

  bool Drain(absl::Duration timeout) {
    if (server_ == nullptr) return true;
    {
      MutexLock lock(&mutex_);
      draining_ = true;
      server_->GetHealthCheckService()->SetServingStatus(false);
    }
    gate_.SetDraining();
    const bool all_over = gate_.WaitUntilEmpty(absl::Now() + timeout);
    heartbeat_.reset();
    // Cancels what is left, health watches included; returns when every call is over.
    server_->Shutdown(absl::ToChronoTime(absl::Now()));
    server_->Wait();
    // What was cancelled lets go of what it uses, which its owner may destroy next.
    gate_.WaitUntilEmpty(absl::Now() + kCancelTimeout);
    server_ = nullptr;
    return all_over;
  }

  absl::Duration drain_timeout() const { return drain_timeout_; }
  const std::string& address() const { return address_; }

 private:
  const absl::Duration drain_timeout_;
  const absl::Duration max_connection_age_;
  const std::shared_ptr<grpc::ServerCredentials> credentials_;
  const CallWatchOptions watch_;
  ServingGate& gate_;
  std::vector<std::string> names_;
  std::string address_;
  Mutex mutex_;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;  // The health does not change any more.
  std::unique_ptr<grpc::Server> server_;
  std::optional<Heartbeat> heartbeat_;
};

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const ServerOptions& options,
                                                      const std::vector<NamedService>& services,
                                                      ServingGate& gate) {
  if (options.listen.rfind(':') == std::string::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat("--listen: expected HOST:PORT, found ", options.listen));
  }
  // gRPC would take the lowest 16 bits.
  int64_t port = 0;
  if (absl::SimpleAtoi(options.listen.substr(options.listen.rfind(':') + 1), &port) &&
      (port < 0 || port > kMaxPort)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--listen: expected a port of 0 to ", kMaxPort, ", found ", options.listen));
  }
  auto impl = std::make_unique<Impl>(options, gate);
  std::vector<grpc::Service*> handlers;
  std::vector<std::string> names;
  for (const NamedService& service : services) {
    handlers.push_back(service.service);
    names.push_back(service.name);
  }
  if (absl::Status status = impl->Start(options.listen, handlers); !status.ok()) return status;
  impl->SetNames(std::move(names));
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() = default;
void Server::SetReady(bool ready) { impl_->SetReady(ready); }
const std::string& Server::address() const { return impl_->address(); }
bool Server::Drain() { return impl_->Drain(impl_->drain_timeout()); }

}  // namespace llama
