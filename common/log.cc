#include "common/log.h"

#include <memory>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "spdlog/sinks/stdout_sinks.h"
#include "spdlog/spdlog.h"

namespace llama {
namespace {

bool g_json = false;  // Set once, before there is a second thread.

std::string Escape(absl::string_view message) {
  return g_json ? absl::Utf8SafeCEscape(message) : absl::Utf8SafeCHexEscape(message);
}

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
  g_json = format == "json";
  auto logger =
      std::make_shared<spdlog::logger>("lnb", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_level(parsed);
  // Keeps quiet where standard error is closed or full: there is nowhere else to say it.
  logger->set_error_handler([](const std::string&) {});
  logger->set_pattern(g_json ? R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l","message":"%v"})"
                             : "%Y-%m-%d %H:%M:%S.%e %l %v");
  logger->flush_on(spdlog::level::trace);
  spdlog::set_default_logger(std::move(logger));
  return absl::OkStatus();
}

void LogInfo(absl::string_view message) { spdlog::info("{}", Escape(message)); }
void LogWarning(absl::string_view message) { spdlog::warn("{}", Escape(message)); }
void LogError(absl::string_view message) { spdlog::error("{}", Escape(message)); }

}  // namespace llama
