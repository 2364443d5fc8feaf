#ifndef LLAMA_COMMON_RPC_SERVER_STREAM_H_
#define LLAMA_COMMON_RPC_SERVER_STREAM_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/rpc/grpc_status.h"
#include "common/rpc/outbox.h"
#include "common/status_details.h"
#include "grpc/grpc.h"
#include "grpcpp/alarm.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/server_callback.h"

namespace llama {

struct ServerStreamOptions {
  // The stream is writable until so many bytes wait to be sent, and then again from half of them
  // on. gRPC itself buffers at least 64 KiB more.
  int64_t capacity_bytes = int64_t{64} << 10;
  // A client that lets one message wait this long is cut off, at most twice this long after.
  absl::Duration stall_limit = absl::Seconds(30);
};

// The server's end of a server-streaming rpc, written by a producer on a thread of its own, which
// it never blocks:
//
//   auto stream = ServerStream<Response>::Create(context, options, [this] { engine_.Wake(); });
//   engine_.Submit(request, stream);  // writes, and calls Finish() once
//   return stream.get();              // from the rpc's handler, which must return it
//
// The call ends with the producer's status once all is sent; with CANCELLED as soon as nobody
// listens any more; with RESOURCE_EXHAUSTED (CLIENT_TOO_SLOW) if the client stalls or the producer
// writes on and on without regard to writable(). Lives until the call has ended and the producer
// has let go of it. Thread-safe.
template <typename Response>
class ServerStream final : public grpc::ServerWriteReactor<Response> {
 public:
  // `on_change` tells that writable() or cancelled() has become true. It is called on gRPC's
  // threads, even on several at once, never from within Write() or Finish(). It must not block, and
  // what it refers to must outlive the server.
  static std::shared_ptr<ServerStream> Create(grpc::CallbackServerContext* context,
                                              const ServerStreamOptions& options,
                                              std::function<void()> on_change) {
    std::shared_ptr<ServerStream> stream(new ServerStream(context, options, std::move(on_change)));
    stream->self_ = stream;
    stream->SetTimer();
    return stream;
  }

  // Sends the response's headers without waiting for the first message. Within the handler only, at
  // most once; not for a call that is refused, which clients may retry only without headers.
  void SendHeaders() { StartSendInitialMetadata(); }
  // Whether the producer should go on. Only its own Write() makes this false.
  bool writable() const { return outbox_.writable(); }
  // Whether nobody will read what is written from now on. Never reverts.
  bool cancelled() const { return outbox_.broken(); }
  // Queues a message, writable or not, so that what belongs together can be written together.
  // Ignored once cancelled().
  void Write(Response response) {
    const auto bytes = static_cast<int64_t>(response.ByteSizeLong());
    Perform(outbox_.Push(std::move(response), bytes));
  }
  // Ends the call once all is sent. Needed in any case, cancelled or not; what is written after it
  // is ignored.
  void Finish(absl::Status status) { Perform(outbox_.Close(std::move(status))); }

 private:
  using Reactor = grpc::ServerWriteReactor<Response>;
  using Tick = typename Outbox<Response>::Tick;
  using Reactor::StartSendInitialMetadata;
  using Reactor::StartWrite;
  using Reactor::StartWriteAndFinish;
  using Reactor::StartWriteLast;

  ServerStream(grpc::CallbackServerContext* context, const ServerStreamOptions& options,
               std::function<void()> on_change)
      : context_(context),
        stall_limit_(options.stall_limit),
        on_change_(std::move(on_change)),
        outbox_(options.capacity_bytes, MakeStatus(absl::StatusCode::kResourceExhausted,
                                                   "CLIENT_TOO_SLOW", kTooSlowMessage)) {}

  void Perform(const typename Outbox<Response>::Step& step) {
    if (step.notify) on_change_();
    if (step.write != nullptr) StartWrite(step.write);
    if (step.finish.has_value()) {
      timer_->Cancel();
      Reactor::Finish(ToGrpcStatus(*step.finish));
    }
  }

  void OnWriteDone(bool ok) override { Perform(outbox_.WriteDone(ok)); }
  void OnCancel() override { Perform(outbox_.Cancel()); }
  void OnDone() override { const std::shared_ptr<ServerStream> last = std::move(self_); }

  void OnTick() {
    const Tick tick = outbox_.BeginTick();
    if (tick == Tick::kOver) return;
    if (tick == Tick::kMoving) SetTimer();
    if (tick == Tick::kStalled) {
      // Finish() would wait behind the message that the client does not read. This overtakes it,
      // but carries no details.
      grpc_call_cancel_with_status(context_->c_call(), GRPC_STATUS_RESOURCE_EXHAUSTED,
                                   kTooSlowMessage, nullptr);
    }
    Perform(outbox_.EndTick());
  }
  void SetTimer() {
    timer_.emplace();  // A new one: an alarm must not be set again from within its own callback.
    timer_->Set(absl::ToChronoTime(absl::Now() + stall_limit_),
                [self = self_](bool expired) mutable {
                  // Moved out, or stream and alarm would own each other.
                  const std::shared_ptr<ServerStream> stream = std::move(self);
                  if (expired) stream->OnTick();
                });
  }

  static constexpr char kTooSlowMessage[] = "the client does not keep up with the stream";

  grpc::CallbackServerContext* const context_;  // Valid until OnDone().
  const absl::Duration stall_limit_;
  const std::function<void()> on_change_;
  Outbox<Response> outbox_;
  std::optional<grpc::Alarm> timer_;    // Used by ticks and by `finish`, never both at once.
  std::shared_ptr<ServerStream> self_;  // gRPC's share, until OnDone().
};

}  // namespace llama

#endif  // LLAMA_COMMON_RPC_SERVER_STREAM_H_
