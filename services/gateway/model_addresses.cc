#include "services/gateway/model_addresses.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "common/mutex.h"

namespace llama {
namespace {

constexpr absl::string_view kDnsScheme = "dns:///";
constexpr absl::Duration kInterval = absl::Seconds(5);
constexpr absl::Duration kIntervalWhileUnknown = absl::Seconds(1);
// However often somebody asks: names change within seconds, not within milliseconds.
constexpr absl::Duration kLeastInterval = absl::Milliseconds(500);

struct Target {
  std::string text;       // "dns:///model:50052" without the scheme, or any other gRPC target.
  std::string name = {};  // "model"; empty if the target is not to be resolved here.
  std::string port = {};
  std::vector<ReplicaAddress> found = {};
  absl::Status status = absl::OkStatus();
};

Target ParseTarget(absl::string_view text) {
  absl::string_view rest = text;
  if (!absl::ConsumePrefix(&rest, kDnsScheme)) {
    return {.text = std::string(text), .found = {{std::string(text), ""}}};
  }
  const size_t colon = rest.rfind(':');
  if (colon == absl::string_view::npos || colon == 0 || colon + 1 == rest.size() ||
      rest.find(']') != absl::string_view::npos) {
    return {.text = std::string(text), .found = {{std::string(text), ""}}};
  }
  return {.text = std::string(rest),
          .name = std::string(rest.substr(0, colon)),
          .port = std::string(rest.substr(colon + 1)),
          .status = absl::UnavailableError(absl::StrCat("looking for the addresses of ", rest))};
}

std::string NumericAddress(const addrinfo& info) {
  std::array<char, NI_MAXHOST> host = {};
  std::array<char, NI_MAXSERV> port = {};
  if (getnameinfo(info.ai_addr, info.ai_addrlen, host.data(), host.size(), port.data(), port.size(),
                  NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    return "";
  }
  return info.ai_family == AF_INET6 ? absl::StrCat("[", host.data(), "]:", port.data())
                                    : absl::StrCat(host.data(), ":", port.data());
}

}  // namespace

struct ModelAddresses::Names {
  Names(std::vector<Target> parsed, Resolver asked) : resolver(asked), targets(std::move(parsed)) {}

  const Resolver resolver;
  Mutex mutex;
  std::vector<Target> targets ABSL_GUARDED_BY(mutex);
  bool refresh ABSL_GUARDED_BY(mutex) = false;
  bool stop ABSL_GUARDED_BY(mutex) = false;

  void Run() {
    bool stopped = false;
    while (!stopped) {
      const bool all_known = ResolveAll();
      const absl::Time now = absl::Now();
      MutexLock lock(&mutex);
      refresh = false;
      stopped = mutex.AwaitUntil([this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) { return stop; },
                                 now + kLeastInterval) ||
                (mutex.AwaitUntil(
                     [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) { return stop || refresh; },
                     now + (all_known ? kInterval : kIntervalWhileUnknown)) &&
                 stop);
    }
  }

  // Whether all names have addresses. Asks without the lock, as that may take long.
  bool ResolveAll() {
    std::vector<Target> now;
    {
      MutexLock lock(&mutex);
      now = targets;
    }
    bool all_known = true;
    for (Target& target : now) {
      if (target.name.empty()) continue;
      auto addresses = resolver(target.name, target.port);
      target.status = addresses.status();
      if (addresses.ok()) {
        target.found.clear();
        for (std::string& address : *addresses) {
          target.found.push_back({std::move(address), target.text});
        }
      }
      all_known = all_known && !target.found.empty();
    }
    MutexLock lock(&mutex);
    targets = std::move(now);
    return all_known;
  }
};

absl::StatusOr<std::vector<std::string>> ModelAddresses::ResolveBySystem(const std::string& name,
                                                                         const std::string& port) {
  addrinfo hints = {};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  if (const int error = getaddrinfo(name.c_str(), port.c_str(), &hints, &list); error != 0) {
    return absl::UnavailableError(
        absl::StrCat("cannot resolve ", name, ":", port, ": ", gai_strerror(error)));
  }
  std::vector<std::string> addresses;
  for (const addrinfo* info = list; info != nullptr; info = info->ai_next) {
    if (std::string address = NumericAddress(*info); !address.empty()) {
      addresses.push_back(std::move(address));
    }
  }
  freeaddrinfo(list);
  return addresses;
}

absl::StatusOr<ModelAddresses> ModelAddresses::Create(absl::string_view targets,
                                                      Resolver resolver) {
  std::vector<Target> parsed;
  bool has_names = false;
  for (const absl::string_view target : absl::StrSplit(targets, ',')) {
    if (target.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("--model: expected addresses separated by commas, found '", targets, "'"));
    }
    parsed.push_back(ParseTarget(target));
    has_names = has_names || !parsed.back().name.empty();
  }
  auto names = std::make_shared<Names>(std::move(parsed), resolver);
  // Not joined: the system may take half a minute to answer, which nobody wants to wait for.
  if (has_names) std::thread([names] { names->Run(); }).detach();
  return ModelAddresses(std::move(names));
}

ModelAddresses::~ModelAddresses() {
  if (names_ == nullptr) return;
  MutexLock lock(&names_->mutex);
  names_->stop = true;
}

absl::StatusOr<std::vector<ReplicaAddress>> ModelAddresses::Get() const {
  std::vector<ReplicaAddress> all;
  absl::Status status = absl::UnavailableError("it has no addresses");
  MutexLock lock(&names_->mutex);
  for (const Target& target : names_->targets) {
    if (!target.status.ok()) status = target.status;
    for (const ReplicaAddress& address : target.found) {
      const bool known = std::any_of(all.begin(), all.end(), [&](const ReplicaAddress& other) {
        return other.target == address.target;
      });
      if (!known) all.push_back(address);
    }
  }
  if (all.empty()) return status;
  return all;
}

void ModelAddresses::Refresh() {
  MutexLock lock(&names_->mutex);
  names_->refresh = true;
}

}  // namespace llama
