#ifndef LLAMA_COMMON_RPC_CALL_CONTEXT_H_
#define LLAMA_COMMON_RPC_CALL_CONTEXT_H_

#include <memory>
#include <string>

#include "common/rpc/call_notes.h"
#include "grpcpp/client_context.h"
#include "grpcpp/server_context.h"

// What a service of ours knows of a call beside gRPC's own context, and what it tells the services
// behind it.
namespace llama {

// Metadata. Whose call it is, which is CallerOf() of the service's own caller. Read by servers with
// ServerOptions::callers_are_services.
inline constexpr char kCallerMetadata[] = "llama-caller";
// Joins the records of a call and of those that it leads to: at most 64 letters, digits, '-', '_'.
inline constexpr char kRequestIdMetadata[] = "llama-request-id";
// With it, a call of a Get… method is a probe (CallRecord::is_probe).
inline constexpr char kProbeMetadata[] = "llama-probe";

// Who makes a call, so that each gets a fair share: a token's owner, if the server checks tokens,
// or else everyone at the same address; with what kCallerMetadata adds, where callers are services.
// Shares are all that it is for: who reaches such a server may put there what it likes. Printable
// ASCII of bounded length, and does not show the token.
std::string CallerOf(const grpc::CallbackServerContext& context);

// Where to note what the call's record should hold. Of a server that does not watch its calls:
// notes that nobody reads.
std::shared_ptr<CallNotes> NotesOf(const grpc::CallbackServerContext& context);

// Whether an id may travel in kRequestIdMetadata.
bool IsRequestId(absl::string_view id);

// Tells the service that is called in `context` whose call it is and which. `caller` as CallerOf()
// has it; a request id that may not travel is left out.
void ForwardCall(const std::string& caller, const CallNotes& notes, grpc::ClientContext& context);

}  // namespace llama

#endif  // LLAMA_COMMON_RPC_CALL_CONTEXT_H_
