#include "common/rpc/caller.h"

#include <algorithm>
#include <cstddef>

#include "absl/hash/hash.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace llama {
namespace {

constexpr size_t kMaxForwarded = 128;  // Longer ones are cut.

absl::string_view Find(const grpc::CallbackServerContext& context, const char* key) {
  const auto found = context.client_metadata().find(key);
  return found == context.client_metadata().end()
             ? absl::string_view()
             : absl::string_view(found->second.data(), found->second.size());
}

}  // namespace

std::string CallerOf(const grpc::CallbackServerContext& context) {
  std::string caller;
  if (const absl::string_view token = Find(context, "authorization"); !token.empty()) {
    caller = absl::StrCat("token:", absl::Hex(absl::HashOf(token)));
  } else {
    const std::string peer = context.peer();  // "ipv4:127.0.0.1:40404", "unix:/socket".
    caller = absl::StartsWith(peer, "ip") ? peer.substr(0, peer.rfind(':')) : peer;
  }
  const absl::string_view forwarded = Find(context, kCallerMetadata);
  if (!forwarded.empty()) absl::StrAppend(&caller, "/", forwarded.substr(0, kMaxForwarded));
  return caller;
}

}  // namespace llama
