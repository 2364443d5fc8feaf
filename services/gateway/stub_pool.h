#ifndef LLAMA_SERVICES_GATEWAY_STUB_POOL_H_
#define LLAMA_SERVICES_GATEWAY_STUB_POOL_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "common/mutex.h"
#include "common/rpc/channel.h"

namespace llama {

// Stubs of one service, over as many connections as its calls need: a server allows only so many
// streams on each, beyond which a call waits in silence until another one ends. Thread-safe.
template <typename Service>
class StubPool {
 public:
  using Stub = typename Service::Stub;

  explicit StubPool(
      std::string target,
      std::shared_ptr<grpc::ChannelCredentials> credentials = grpc::InsecureChannelCredentials(),
      ChannelOptions options = {})
      : target_(std::move(target)),
        credentials_(std::move(credentials)),
        options_(std::move(options)) {
    MutexLock lock(&mutex_);
    connections_.push_back(Connect());
    first_ = connections_.front()->stub.get();
  }

  // On the first connection, which is always there and keeps room for calls that must not wait.
  Stub& first() const { return *first_; }

  // For one call, which counts until the last copy is gone. The pool must outlive it.
  std::shared_ptr<Stub> Take() {
    MutexLock lock(&mutex_);
    Connection* free = nullptr;
    for (const auto& connection : connections_) {
      if (connection->calls < kCallsPerConnection) {
        free = connection.get();
        break;
      }
    }
    if (free == nullptr) free = connections_.emplace_back(Connect()).get();
    ++free->calls;
    return std::shared_ptr<Stub>(free->stub.get(), [this, free](Stub*) { Release(free); });
  }

  int64_t connections() const {
    MutexLock lock(&mutex_);
    return static_cast<int64_t>(connections_.size());
  }

 private:
  static constexpr int64_t kCallsPerConnection = 80;  // A server allows 100 streams.

  struct Connection {
    std::unique_ptr<Stub> stub;
    int64_t calls = 0;
  };

  std::unique_ptr<Connection> Connect() const {
    auto connection = std::make_unique<Connection>();
    connection->stub = Service::NewStub(llama::CreateChannel(target_, credentials_, options_));
    return connection;
  }
  void Release(Connection* released) {
    std::unique_ptr<Connection> closed;  // Outlives the lock.
    MutexLock lock(&mutex_);
    if (--released->calls > 0) return;
    // One that is not needed is closed: kept, it might be found broken when it is needed again.
    for (size_t i = 1; i < connections_.size(); ++i) {
      if (connections_[i].get() != released) continue;
      closed = std::move(connections_[i]);
      connections_.erase(connections_.begin() + static_cast<ptrdiff_t>(i));
      return;
    }
  }

  const std::string target_;
  const std::shared_ptr<grpc::ChannelCredentials> credentials_;
  const ChannelOptions options_;
  mutable Mutex mutex_;
  std::vector<std::unique_ptr<Connection>> connections_ ABSL_GUARDED_BY(mutex_);
  Stub* first_ = nullptr;
};

}  // namespace llama

#endif  // LLAMA_SERVICES_GATEWAY_STUB_POOL_H_
