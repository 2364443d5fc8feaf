#ifndef LLAMA_COMMON_RPC_CALL_WATCH_H_
#define LLAMA_COMMON_RPC_CALL_WATCH_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "common/rpc/call_record.h"
#include "grpcpp/server_builder.h"

namespace llama {

struct CallWatchOptions {
  std::vector<CallObserver> observers = {};
  // Whether every call that comes through has one `authorization`, which was checked. If not, the
  // header is not looked at.
  bool tokens_are_checked = false;
  // Whether kCallerMetadata is believed, for only services call. If not, it is not looked at.
  bool callers_are_services = false;
};

// Makes the server that `builder` builds tell `observers` of each call at its end, however it ends,
// and gives its calls notes (NotesOf()) and callers (CallerOf()). Left out are what the server asks
// itself, and what gRPC refuses before it looks for a method: bytes that are no HTTP/2, too much
// metadata, and tokens (TokenProcessor tells of these).
void WatchCalls(CallWatchOptions options, grpc::ServerBuilder& builder);

// The token of an `authorization`: "Bearer TOKEN", the scheme in any case. Empty if it has none.
absl::string_view BearerToken(absl::string_view authorization);

// A record's method, of a path as HTTP/2 has it: "/llama.v1.ModelService/Generate". Cut if need be.
std::string MethodName(absl::string_view path);

// A request id for a call that came without.
std::string MakeRequestId();

}  // namespace llama

#endif  // LLAMA_COMMON_RPC_CALL_WATCH_H_
