#ifndef LLAMA_COMMON_RPC_CALLER_H_
#define LLAMA_COMMON_RPC_CALLER_H_

#include <string>

#include "grpcpp/server_context.h"

namespace llama {

// The metadata in which a service tells the one behind it on whose behalf it calls: CallerOf() of
// its own caller.
inline constexpr char kCallerMetadata[] = "llama-caller";

// Who makes a call, so that each gets a fair share: a token's owner, or else everyone at the same
// address; with what kCallerMetadata adds, where the caller is a service itself. Shares are all
// that it is for: a client may put there what it likes. Printable, and does not show the token.
std::string CallerOf(const grpc::CallbackServerContext& context);

}  // namespace llama

#endif  // LLAMA_COMMON_RPC_CALLER_H_
