#include "clients/console/reply_view.h"

#include <optional>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "clients/console/annotate.h"
#include "clients/console/explain_status.h"
#include "clients/console/painter.h"
#include "clients/console/panel.h"
#include "clients/console/reply_progress.h"
#include "clients/console/sanitize.h"
#include "clients/console/styled_text.h"
#include "clients/console/terminal.h"
#include "common/mutex.h"
#include "common/status_macros.h"

namespace llama {
namespace {

constexpr absl::Duration kDrawInterval = absl::Milliseconds(50);
// How soon the clock and a new screen size show while nothing comes.
constexpr absl::Duration kIdleInterval = absl::Milliseconds(200);

// Reads the stream of one request on a thread of its own.
class ReplyReader {
 public:
  struct Snapshot {
    ReplyProgress progress;
    int64_t version;                     // Messages so far.
    std::optional<absl::Status> status;  // Once the stream is over.
  };

  ReplyReader(GatewayClient& client, v1::GenerateRequest request)
      : client_(client), request_(std::move(request)), thread_([this] { Read(); }) {}
  ~ReplyReader() {
    while (!AwaitEnd(absl::Now())) {
      client_.Cancel();  // Does nothing while the call is only about to begin: hence the loop.
      AwaitEnd(absl::Now() + kDrawInterval);
    }
    thread_.join();
  }

  // Returns once there is more than `seen` messages, or the end, or `deadline` has passed.
  Snapshot Await(int64_t seen, absl::Time deadline) {
    MutexLock lock(&mutex_);
    mutex_.AwaitUntil([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(
                          mutex_) { return status_.has_value() || version_ > seen; },
                      deadline);
    return {progress_, version_, status_};
  }
  // Returns at the end of the stream, or false at `deadline`.
  bool AwaitEnd(absl::Time deadline) {
    MutexLock lock(&mutex_);
    return mutex_.AwaitUntil(
        [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return status_.has_value(); }, deadline);
  }

 private:
  void Read() {
    const absl::Status status =
        client_.Generate(request_, [this](const v1::GenerateResponse& response) {
          MutexLock lock(&mutex_);
          progress_.Push(response, absl::Now());
          ++version_;
          return true;
        });
    MutexLock lock(&mutex_);
    status_ = status;
  }

  GatewayClient& client_;
  const v1::GenerateRequest request_;
  Mutex mutex_;
  ReplyProgress progress_ ABSL_GUARDED_BY(mutex_){absl::Now()};
  int64_t version_ ABSL_GUARDED_BY(mutex_) = 0;
  std::optional<absl::Status> status_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;  // Last: it uses the rest.
};

absl::StatusOr<ReplyReader::Snapshot> DrawUntilEnd(ReplyReader& reader, const std::string& prompt,
                                                   bool names) {
  const EchoOff echo_off;
  Painter painter;
  int64_t seen = -1;
  while (true) {
    ReplyReader::Snapshot now = reader.Await(seen, absl::Now() + kIdleInterval);
    seen = now.version;
    const ScreenSize screen = GetScreenSize();
    if (now.status.has_value()) {
      RETURN_IF_ERROR(WriteOut(painter.Erase(screen.columns, screen.rows)));
      return now;
    }
    const absl::Time start = absl::Now();
    PanelState panel = now.progress.Panel(start, names);
    panel.prompt = prompt;
    RETURN_IF_ERROR(WriteOut(painter.Draw(RenderPanel(panel, screen.columns, screen.rows, true),
                                          screen.columns, screen.rows)));
    reader.AwaitEnd(start + kDrawInterval);
  }
}

absl::StatusOr<ReplyReader::Snapshot> PrintUntilEnd(ReplyReader& reader, bool names) {
  AnnotatedText printed(names);
  int64_t seen = 0;
  while (true) {
    ReplyReader::Snapshot now = reader.Await(seen, absl::InfiniteFuture());
    seen = now.version;
    const bool complete = now.status.has_value();
    RETURN_IF_ERROR(WriteOut(printed.Advance(now.progress.text(), complete)));
    if (complete) return now;
  }
}

std::string DescribeEnd(const ReplyReader::Snapshot& end) {
  const std::string statistics = end.progress.Statistics(absl::Now());
  if (end.progress.finished().has_value() && end.status->ok()) {
    return absl::StrCat(DescribeFinish(*end.progress.finished()), "\n", statistics, "\n\n");
  }
  if (absl::IsCancelled(*end.status)) {
    return absl::StrCat("Stopped by Ctrl+C.\n", statistics, "\n\n");
  }
  if (end.status->ok()) return "The reply ended without saying why.\n\n";
  return absl::StrCat(SanitizeForTerminal(ExplainStatus(*end.status)), "\n", statistics, "\n\n");
}

}  // namespace

absl::StatusOr<ReplyOutcome> ShowReply(GatewayClient& client, v1::GenerateRequest request,
                                       const std::string& prompt, const ReplyViewOptions& options) {
  v1::OutputOptions& output = *request.mutable_output();
  output.set_tokens(true);
  output.set_top_candidates(0);
  output.set_progress(options.draw);
  ReplyReader reader(client, std::move(request));
  absl::StatusOr<ReplyReader::Snapshot> end = options.draw
                                                  ? DrawUntilEnd(reader, prompt, options.names)
                                                  : PrintUntilEnd(reader, options.names);
  RETURN_IF_ERROR(end.status());
  std::string text = "\n\n";
  if (options.draw) {
    text = absl::StrCat(Bold("Prompt                 :", true), " \"", SanitizeForTerminal(prompt),
                        "\"\n", Bold("Assistant              :", true), " \"",
                        Annotate(end->progress.text(), options.names), "\"\n\n");
  }
  RETURN_IF_ERROR(WriteOut(absl::StrCat(text, DescribeEnd(*end))));
  return ReplyOutcome{end->progress.text().text, *end->status};
}

}  // namespace llama
