#include "common/log.h"

#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "common/printable.h"
#include "spdlog/async_logger.h"
#include "spdlog/details/thread_pool.h"
#include "spdlog/pattern_formatter.h"
#include "spdlog/sinks/base_sink.h"

namespace llama {
namespace {

constexpr size_t kMaxWaitingLines = 8192;
constexpr size_t kMaxWriteBytes = 16'384;
constexpr absl::Duration kMoment = absl::Milliseconds(1);
constexpr absl::Duration kDropReportInterval = absl::Seconds(1);
constexpr absl::Duration kExitTimeout = absl::Seconds(1);

// What stands between the level and the end of the line.
std::string Render(absl::string_view message, std::span<const LogField> fields, bool json) {
  std::string line = json ? absl::StrCat("\"", PrintableJson(message), "\"") : Printable(message);
  for (const LogField& field : fields) {
    std::string value;
    if (const auto* const text = std::get_if<absl::string_view>(&field.value)) {
      const bool bare =
          !json && !text->empty() && text->find_first_of(" \"\\=") == absl::string_view::npos;
      value = bare ? Printable(*text) : absl::StrCat("\"", PrintableJson(*text), "\"");
    } else if (const auto* const number = std::get_if<int64_t>(&field.value)) {
      value = absl::StrCat(*number);
    } else {
      value = absl::StrFormat("%.3f", std::get<double>(field.value));
    }
    if (json) {
      absl::StrAppend(&line, ",\"", field.key, "\":", value);
    } else {
      absl::StrAppend(&line, " ", field.key, "=", value);
    }
  }
  return line;
}

spdlog::level::level_enum ToSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

// Standard error, written without a lock that others use; its failures are nobody's.
class StandardError final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  // `pool` is the one that writes, and outlives that.
  StandardError(spdlog::details::thread_pool& pool, bool json) : pool_(pool), json_(json) {}
  ~StandardError() override { Write(); }

  // Lines that are done with.
  size_t written() const { return written_; }

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    formatter_->format(message, lines_);
    ++lines_count_;
    // Lines of the same moment go together. Who posts one has then no thread to wake, either.
    if (pool_.queue_size() == 0) absl::SleepFor(kMoment);
    if (pool_.queue_size() == 0 || lines_.size() >= kMaxWriteBytes) WriteLines();
  }
  void flush_() override { WriteLines(); }
  // What was dropped before a line is told by the time that it counts as written.
  void WriteLines() {
    Write();
    ReportDropped();
    written_ += std::exchange(lines_count_, 0);
  }
  void ReportDropped() {
    const size_t dropped = pool_.overrun_counter();
    if (dropped == reported_ || absl::Now() < next_report_) return;
    const std::string text = Render(
        "lines of the log were dropped, for they came faster than they are read",
        std::initializer_list<LogField>{{"lines", static_cast<int64_t>(dropped - reported_)}},
        json_);
    formatter_->format(spdlog::details::log_msg("", spdlog::level::warn, text), lines_);
    Write();
    reported_ = dropped;
    next_report_ = absl::Now() + kDropReportInterval;
  }
  void Write() {
    absl::string_view rest(lines_.data(), lines_.size());
    while (!rest.empty()) {
      const ssize_t bytes = write(STDERR_FILENO, rest.data(), rest.size());
      if (bytes < 0 && errno == EINTR) continue;
      if (bytes <= 0) break;
      rest.remove_prefix(static_cast<size_t>(bytes));
    }
    lines_.clear();
  }

  spdlog::details::thread_pool& pool_;
  const bool json_;
  spdlog::memory_buf_t lines_;  // Not yet written.
  size_t lines_count_ = 0;
  std::atomic<size_t> written_ = 0;
  size_t reported_ = 0;
  absl::Time next_report_ = absl::InfinitePast();
};

struct LogState {
  bool json = false;
  std::shared_ptr<StandardError> sink = nullptr;
  std::shared_ptr<spdlog::async_logger> logger = nullptr;
  std::atomic<size_t> posted = 0;
  std::shared_ptr<spdlog::details::thread_pool> pool = nullptr;  // Last: its end joins the thread.
};

// Lives until the process is gone, for any thread may log until then.
std::atomic<LogState*> g_log = nullptr;

// The process's signals are not this thread's business.
std::shared_ptr<spdlog::details::thread_pool> StartThread() {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  auto pool = std::make_shared<spdlog::details::thread_pool>(kMaxWaitingLines, 1);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return pool;
}

void FlushAtExit() { FlushLog(kExitTimeout); }

}  // namespace

absl::Status SetUpLog(absl::string_view level, absl::string_view format) {
  const std::string name(level);
  const spdlog::level::level_enum parsed = spdlog::level::from_str(name);
  if (parsed == spdlog::level::off && name != "off") {
    return absl::InvalidArgumentError(absl::StrCat(
        "--log_level: expected trace, debug, info, warning, error or off, found ", level));
  }
  if (format != "text" && format != "json") {
    return absl::InvalidArgumentError(
        absl::StrCat("--log_format: expected text or json, found ", format));
  }
  auto state = std::make_unique<LogState>();
  state->json = format == "json";
  state->pool = StartThread();
  state->sink = std::make_shared<StandardError>(*state->pool, state->json);
  state->logger = std::make_shared<spdlog::async_logger>(
      "lnb", state->sink, state->pool, spdlog::async_overflow_policy::overrun_oldest);
  state->logger->set_level(parsed);
  state->logger->set_formatter(std::make_unique<spdlog::pattern_formatter>(
      state->json ? R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l","message":%v})"
                  : "%Y-%m-%d %H:%M:%S.%e %l %v"));
  state->logger->set_error_handler([](const std::string&) {});
  const std::unique_ptr<LogState> before(g_log.exchange(state.release()));
  if (before == nullptr && std::atexit(FlushAtExit) != 0) {
    return absl::ResourceExhaustedError("cannot have the log written at the exit");
  }
  return absl::OkStatus();
}

bool IsLogged(LogLevel level) {
  const LogState* const log = g_log;
  return log != nullptr && log->logger->should_log(ToSpdlog(level));
}

void Log(LogLevel level, absl::string_view message, std::span<const LogField> fields) {
  if (!IsLogged(level)) return;
  LogState& log = *g_log;
  const std::string line = Render(message, fields, log.json);
  ++log.posted;
  log.logger->log(ToSpdlog(level), spdlog::string_view_t(line.data(), line.size()));
}
void Log(LogLevel level, absl::string_view message, std::initializer_list<LogField> fields) {
  Log(level, message, std::span<const LogField>(fields.begin(), fields.size()));
}

void LogInfo(absl::string_view message) {
  Log(LogLevel::kInfo, message, std::span<const LogField>());
}
void LogWarning(absl::string_view message) {
  Log(LogLevel::kWarning, message, std::span<const LogField>());
}
void LogError(absl::string_view message) {
  Log(LogLevel::kError, message, std::span<const LogField>());
}

bool FlushLog(absl::Duration timeout) {
  const LogState* const log = g_log;
  if (log == nullptr) return true;
  const absl::Time deadline = absl::Now() + timeout;
  while (log->sink->written() + log->pool->overrun_counter() < log->posted) {
    if (absl::Now() >= deadline) return false;
    absl::SleepFor(absl::Milliseconds(1));
  }
  return true;
}

}  // namespace llama
