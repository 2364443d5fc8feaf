#include "common/rpc/call_watch.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/hash/hash.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/mutex.h"
#include "common/random_bits.h"
#include "common/rpc/call_context.h"
#include "common/rpc/grpc_status.h"
#include "grpcpp/support/server_interceptor.h"

namespace llama {
namespace {

constexpr size_t kMaxForwardedBytes = 128;  // Longer ones are cut.
constexpr size_t kMaxMethodBytes = 128;
constexpr absl::Duration kDeadlineSkew = absl::Milliseconds(200);

// gRPC's context of a call, with ours. gRPC makes contexts before the calls that get them; Begin()
// is called first of all.
class CallContext final : public grpc::CallbackServerContext {
 public:
  void Begin(std::string caller, std::shared_ptr<CallNotes> notes) {
    caller_ = std::move(caller);
    notes_ = std::move(notes);
  }
  const std::string& caller() const { return caller_; }
  const std::shared_ptr<CallNotes>& notes() const { return notes_; }

 private:
  std::string caller_;
  std::shared_ptr<CallNotes> notes_;
};

// gRPC asks for a context per call and gives it back, but for those that wait for a call when the
// server ends.
class ContextPool final : public grpc::ContextAllocator {
 public:
  grpc::CallbackServerContext* NewCallbackServerContext() override {
    auto context = std::make_unique<CallContext>();
    CallContext* const pointer = context.get();
    MutexLock lock(&mutex_);
    contexts_.emplace(pointer, std::move(context));
    return pointer;
  }
  void Release(grpc::CallbackServerContext* context) override {
    std::unique_ptr<CallContext> released;  // Ends after the lock, for its call's record is made.
    MutexLock lock(&mutex_);
    const auto found = contexts_.find(context);
    if (found == contexts_.end()) return;  // One that gRPC made, of a method that is not served.
    released = std::move(found->second);
    contexts_.erase(found);
  }

 private:
  Mutex mutex_;
  std::unordered_map<grpc::CallbackServerContext*, std::unique_ptr<CallContext>> contexts_
      ABSL_GUARDED_BY(mutex_);
};

absl::string_view Find(const grpc::ServerContextBase& context, const char* key) {
  const auto found = context.client_metadata().find(key);
  return found == context.client_metadata().end()
             ? absl::string_view()
             : absl::string_view(found->second.data(), found->second.size());
}

// What may be put into metadata again.
std::string PrintableAscii(absl::string_view text) {
  std::string printable(text);
  for (char& c : printable) {
    if (!absl::ascii_isgraph(static_cast<unsigned char>(c))) c = '?';
  }
  return printable;
}

// `peer`: "ipv4:127.0.0.1:40404", "unix:/socket".
std::string FindCaller(const grpc::ServerContextBase& context, const std::string& peer,
                       const CallWatchOptions& options) {
  std::string caller;
  const absl::string_view token = options.tokens_are_checked
                                      ? BearerToken(Find(context, "authorization"))
                                      : absl::string_view();
  if (!token.empty()) {
    caller = absl::StrCat("token:", absl::Hex(absl::HashOf(token)));
  } else {
    caller = absl::StartsWith(peer, "ip") ? peer.substr(0, peer.rfind(':')) : peer;
  }
  const absl::string_view forwarded =
      options.callers_are_services ? Find(context, kCallerMetadata) : absl::string_view();
  if (!forwarded.empty()) absl::StrAppend(&caller, "/", forwarded.substr(0, kMaxForwardedBytes));
  return PrintableAscii(caller);
}

bool IsProbe(absl::string_view method, const grpc::ServerContextBase& context) {
  if (absl::StartsWith(method, "grpc.health.") || absl::StartsWith(method, "grpc.reflection.")) {
    return true;
  }
  return absl::StrContains(method, "/Get") && !Find(context, kProbeMetadata).empty();
}

// Sees a call begin, its status and its end.
class CallWatcher final : public grpc::experimental::Interceptor {
 public:
  CallWatcher(std::shared_ptr<const CallWatchOptions> options,
              grpc::experimental::ServerRpcInfo& info)
      : options_(std::move(options)), context_(*info.server_context()) {
    record_.method = MethodName(info.method());
    record_.is_probe = IsProbe(record_.method, context_);
    record_.peer = context_.peer();
    record_.caller = FindCaller(context_, record_.peer, *options_);
    const absl::string_view id = Find(context_, kRequestIdMetadata);
    notes_ = std::make_shared<CallNotes>(IsRequestId(id) ? std::string(id) : MakeRequestId());
    if (auto* const ours = dynamic_cast<CallContext*>(&context_); ours != nullptr) {
      ours->Begin(record_.caller, notes_);
    }
  }
  // gRPC is done with the call.
  ~CallWatcher() override {
    if (cancelled_ && record_.code == absl::StatusCode::kOk) {
      record_.code = absl::StatusCode::kCancelled;  // Nobody got that status.
    }
    if (expired_ && record_.code == absl::StatusCode::kCancelled) {
      record_.code = absl::StatusCode::kDeadlineExceeded;  // What the client sees.
    }
    notes_->Fill(record_);
    for (const CallObserver& observe : options_->observers) observe(record_);
  }

  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    using Point = grpc::experimental::InterceptionHookPoints;
    if (methods->QueryInterceptionHookPoint(Point::PRE_SEND_STATUS)) {
      const grpc::Status status = methods->GetSendStatus();
      record_.code = static_cast<absl::StatusCode>(status.error_code());
      record_.reason = ReasonOf(status);
      NoteExpiry();
    }
    if (methods->QueryInterceptionHookPoint(Point::POST_RECV_CLOSE) && IsCancelled()) {
      cancelled_ = true;
      NoteExpiry();
    }
    methods->Proceed();
  }

 private:
  // Of the reflection, which is no callback service, it cannot be asked here: it would come back.
  bool IsCancelled() const {
    return dynamic_cast<grpc::CallbackServerContext*>(&context_) != nullptr &&
           context_.IsCancelled();
  }
  // The client counts from when it sent the call, this server from when it came, and its deadline
  // is rounded up by a hundredth at most on the way: a client whose deadline passes cancels a
  // little before the deadline here.
  void NoteExpiry() {
    const absl::Time deadline = absl::FromChrono(context_.deadline());
    const absl::Duration limit = deadline - begin_;
    const absl::Duration early = std::min(limit / 2, std::max(kDeadlineSkew, limit / 100));
    if (absl::Now() >= deadline - early) expired_ = true;
  }

  const std::shared_ptr<const CallWatchOptions> options_;
  grpc::ServerContextBase& context_;  // Gone in the destructor.
  const absl::Time begin_ = absl::Now();
  CallRecord record_;
  std::shared_ptr<CallNotes> notes_;
  std::atomic<bool> cancelled_ = false;
  std::atomic<bool> expired_ = false;
};

class CallWatcherFactory final : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  explicit CallWatcherFactory(CallWatchOptions options)
      : options_(std::make_shared<const CallWatchOptions>(std::move(options))) {}

  grpc::experimental::Interceptor* CreateServerInterceptor(
      grpc::experimental::ServerRpcInfo* info) override {
    // The server's heartbeat, which comes from within the process.
    if (absl::StartsWith(info->method(), "/grpc.health.") &&
        info->server_context()->peer() == "unknown") {
      return nullptr;
    }
    return new CallWatcher(options_, *info);
  }

 private:
  const std::shared_ptr<const CallWatchOptions> options_;
};

}  // namespace

std::string CallerOf(const grpc::CallbackServerContext& context) {
  const auto* const ours = dynamic_cast<const CallContext*>(&context);
  return ours != nullptr ? ours->caller() : FindCaller(context, context.peer(), {});
}

std::shared_ptr<CallNotes> NotesOf(const grpc::CallbackServerContext& context) {
  const auto* const ours = dynamic_cast<const CallContext*>(&context);
  return ours != nullptr && ours->notes() != nullptr ? ours->notes()
                                                     : std::make_shared<CallNotes>(MakeRequestId());
}

bool IsRequestId(absl::string_view id) {
  return !id.empty() && id.size() <= CallNotes::kMaxRequestIdBytes &&
         std::all_of(id.begin(), id.end(), [](unsigned char c) {
           return absl::ascii_isalnum(c) || c == '-' || c == '_';
         });
}

void ForwardCall(const std::string& caller, const CallNotes& notes, grpc::ClientContext& context) {
  if (!caller.empty()) context.AddMetadata(kCallerMetadata, caller);
  const std::string id = notes.request_id();
  if (IsRequestId(id)) context.AddMetadata(kRequestIdMetadata, id);
}

absl::string_view BearerToken(absl::string_view authorization) {
  constexpr absl::string_view kScheme = "Bearer ";
  return absl::StartsWithIgnoreCase(authorization, kScheme) ? authorization.substr(kScheme.size())
                                                            : absl::string_view();
}

std::string MethodName(absl::string_view path) {
  return std::string(absl::StripPrefix(path, "/").substr(0, kMaxMethodBytes));
}

std::string MakeRequestId() { return absl::StrCat(absl::Hex(RandomBits(), absl::kZeroPad16)); }

void WatchCalls(CallWatchOptions options, grpc::ServerBuilder& builder) {
  builder.SetContextAllocator(std::make_unique<ContextPool>());
  std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> factories;
  factories.push_back(std::make_unique<CallWatcherFactory>(std::move(options)));
  builder.experimental().SetInterceptorCreators(std::move(factories));
}

}  // namespace llama
