#ifndef LLAMA_SERVICES_GATEWAY_MODEL_ADDRESSES_H_
#define LLAMA_SERVICES_GATEWAY_MODEL_ADDRESSES_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace llama {

// Where a replica of the model service is.
struct ReplicaAddress {
  std::string target;     // For gRPC: "10.0.0.3:50052".
  std::string authority;  // What its certificate must name: "model:50052"; empty: the target.

  bool operator==(const ReplicaAddress&) const = default;
};

// The addresses that a list of gRPC targets stands for, separated by commas: dns:///NAME:PORT for
// each address of the name, asked for again and again as replicas come and go, and every other
// target for itself. Thread-safe.
class ModelAddresses {
 public:
  // What a name has, "10.0.0.3:50052" for each address; may block.
  using Resolver = absl::StatusOr<std::vector<std::string>> (*)(const std::string& name,
                                                                const std::string& port);

  // Asks the system. Errors: UNAVAILABLE.
  static absl::StatusOr<std::vector<std::string>> ResolveBySystem(const std::string& name,
                                                                  const std::string& port);

  // Errors: INVALID_ARGUMENT if `targets` has an empty one. Starts a thread if there are names.
  static absl::StatusOr<ModelAddresses> Create(absl::string_view targets,
                                               Resolver resolver = ResolveBySystem);
  ModelAddresses(ModelAddresses&&) = default;
  ~ModelAddresses();

  // The last that were found, without repetitions: while a name cannot be resolved, those that it
  // had. Errors, if there are none: UNAVAILABLE, with why.
  absl::StatusOr<std::vector<ReplicaAddress>> Get() const;
  // Asks for the names again now, rather than in a few seconds.
  void Refresh();

 private:
  struct Names;
  explicit ModelAddresses(std::shared_ptr<Names> names) : names_(std::move(names)) {}

  // Shared with the thread, which may be waiting for an answer when this ends.
  std::shared_ptr<Names> names_;
};

}  // namespace llama

#endif  // LLAMA_SERVICES_GATEWAY_MODEL_ADDRESSES_H_
