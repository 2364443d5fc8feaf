#include "common/log.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/printable.h"
#include "spdlog/pattern_formatter.h"
#include "spdlog/sinks/stdout_sinks.h"
#include "spdlog/spdlog.h"

namespace llama {
namespace {

// The flag %E of a pattern: the message, with what would break the line escaped.
class EscapedMessage final : public spdlog::custom_flag_formatter {
 public:
  explicit EscapedMessage(bool json) : json_(json) {}

  void format(const spdlog::details::log_msg& message, const std::tm&,
              spdlog::memory_buf_t& out) override {
    const absl::string_view text(message.payload.data(), message.payload.size());
    const std::string escaped = json_ ? PrintableJson(text) : Printable(text);
    out.append(escaped.data(), escaped.data() + escaped.size());
  }
  std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<EscapedMessage>(json_);
  }

 private:
  const bool json_;
};

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
  const bool json = format == "json";
  auto formatter = std::make_unique<spdlog::pattern_formatter>();
  formatter->add_flag<EscapedMessage>('E', json).set_pattern(
      json ? R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l","message":"%E"})"
           : "%Y-%m-%d %H:%M:%S.%e %l %E");
  auto logger =
      std::make_shared<spdlog::logger>("lnb", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_level(parsed);
  logger->set_formatter(std::move(formatter));
  // Keeps quiet where standard error is closed or full: there is nowhere else to say it.
  logger->set_error_handler([](const std::string&) {});
  logger->flush_on(spdlog::level::trace);
  spdlog::set_default_logger(std::move(logger));
  return absl::OkStatus();
}

void LogInfo(absl::string_view message) { spdlog::info("{}", std::string(message)); }
void LogWarning(absl::string_view message) { spdlog::warn("{}", std::string(message)); }
void LogError(absl::string_view message) { spdlog::error("{}", std::string(message)); }

}  // namespace llama
