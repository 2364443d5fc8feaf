#include "common/program.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "absl/flags/commandlineflag.h"
#include "absl/flags/parse.h"
#include "absl/flags/reflection.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/mutex.h"
#include "common/log.h"
#include "common/printable.h"
#include "common/read_file.h"

namespace llama {
namespace {

constexpr int kMostFlagFiles = 8;  // One that names the next.
constexpr int64_t kMostFlagFileBytes = int64_t{1} << 20;

std::string ProgramName(const char* path) {
  const std::string name = path;
  return name.substr(name.rfind('/') + 1);
}

[[noreturn]] void ExitForUsage(absl::string_view program, absl::string_view problem) {
  const std::string line =
      absl::StrCat(program, ": ", Printable(problem), " (see ", program, " --help)\n");
  (void)std::fputs(line.c_str(), stderr);  // Where it fails, the exit status tells.
  std::exit(kExitUsage);
}

[[noreturn]] void PrintAndExit(const std::string& text) {
  const bool written = std::fputs(text.c_str(), stdout) >= 0 && std::fflush(stdout) == 0;
  std::exit(written ? 0 : kExitFailure);
}

bool IsAbseils(const absl::CommandLineFlag& flag) {
  return absl::StrContains(flag.Filename(), "absl/flags");
}

[[noreturn]] void PrintHelp(absl::string_view program, absl::string_view purpose) {
  std::string text = absl::StrCat(program, ": ", purpose, "\n\n");
  std::vector<absl::CommandLineFlag*> flags;
  for (const auto& [name, flag] : absl::GetAllFlags()) {
    if (!IsAbseils(*flag) && !flag->IsRetired()) flags.push_back(flag);
  }
  std::sort(flags.begin(), flags.end(),
            [](const auto* a, const auto* b) { return a->Name() < b->Name(); });
  for (const absl::CommandLineFlag* const flag : flags) {
    std::string value = flag->DefaultValue();
    if (flag->IsOfType<std::string>()) {
      value = absl::StrCat("\"", value, "\"");
    } else if (value.empty()) {
      value = "unset";
    }
    absl::StrAppend(&text, "  --", flag->Name(), "  (default: ", value, ")\n      ", flag->Help(),
                    "\n");
  }
  absl::StrAppend(&text,
                  "  --flagfile=FILE\n      Read flags from a file, one a line.\n"
                  "  --tryfromenv=NAME,...\n      Read these flags from FLAGS_name in the "
                  "environment, where set.\n"
                  "  --help, --version\n      Print this text, or the version, and exit.\n"
                  "\nExit status: 0 success, 1 failure, 2 wrong usage.\n");
  PrintAndExit(text);
}

void CheckFlags(const std::vector<std::string>& arguments, int depth, absl::string_view program);

// The flags in the files of one --flagfile, as abseil reads them: lines that are empty or start
// with # are skipped.
void CheckFlagFiles(absl::string_view paths, int depth, absl::string_view program) {
  if (depth == kMostFlagFiles) ExitForUsage(program, "flag --flagfile: files name each other");
  for (const absl::string_view path : absl::StrSplit(paths, ',')) {
    const absl::StatusOr<std::string> text = ReadFile(std::string(path), kMostFlagFileBytes);
    if (!text.ok()) {
      ExitForUsage(program, absl::StrCat("flag --flagfile: ", text.status().message()));
    }
    std::vector<std::string> arguments;
    for (const absl::string_view line : absl::StrSplit(*text, '\n')) {
      const absl::string_view stripped = absl::StripAsciiWhitespace(line);
      if (!stripped.empty() && stripped.front() != '#') arguments.emplace_back(stripped);
    }
    CheckFlags(arguments, depth + 1, program);
  }
}

// Abseil's parser ends the process with 1 where this project's answer is 2, so that what it would
// refuse is looked for first. Flags set here are set to the same values again by abseil.
void CheckFlags(const std::vector<std::string>& arguments, int depth, absl::string_view program) {
  for (size_t i = 0; i < arguments.size(); ++i) {
    const absl::string_view argument = arguments[i];
    if (!absl::StartsWith(argument, "-") || argument == "-" || argument == "--") {
      ExitForUsage(program, absl::StrCat("unexpected argument ", argument));
    }
    absl::string_view name = absl::StripPrefix(argument, "-");
    name = absl::StripPrefix(name, "-");
    const size_t equals = name.find('=');
    const absl::string_view key = name.substr(0, equals);
    absl::CommandLineFlag* flag = absl::FindCommandLineFlag(key);
    if (flag == nullptr && equals == absl::string_view::npos && absl::StartsWith(key, "no")) {
      flag = absl::FindCommandLineFlag(key.substr(2));
      if (flag != nullptr && flag->IsOfType<bool>()) continue;
      flag = nullptr;
    }
    if (flag == nullptr) ExitForUsage(program, absl::StrCat("unknown flag --", key));
    absl::string_view value;
    if (equals != absl::string_view::npos) {
      value = name.substr(equals + 1);
    } else if (flag->IsOfType<bool>()) {
      continue;
    } else if (++i < arguments.size()) {
      value = arguments[i];
    } else {
      ExitForUsage(program, absl::StrCat("flag --", key, " needs a value"));
    }
    if (key == "flagfile") CheckFlagFiles(value, depth, program);
    if (IsAbseils(*flag)) continue;
    std::string error;
    if (!flag->ParseFrom(value, &error)) {
      ExitForUsage(program, absl::StrCat("flag --", key, ": cannot read ", value, " as a value",
                                         error.empty() ? "" : ": ", error));
    }
  }
}

// A descriptor that was closed would be the next file's or connection's, which the log or a reply
// would then be written into. In its place stands one that can be used for nothing.
void OccupyStandardDescriptors() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(fd, F_GETFD) >= 0) continue;
    // The lowest that is free, which is this one.
    [[maybe_unused]] const int opened = open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
  }
}

// Every connection takes a descriptor, and gRPC accepts none any more once they are used up: as
// many as the system allows.
void RaiseDescriptorLimit() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  [[maybe_unused]] const int ignored = setrlimit(RLIMIT_NOFILE, &limit);
}

// OpenSSL would take itself apart at exit(), while gRPC may still be at its connections.
void KeepOpenSslUntilTheEnd() {
  [[maybe_unused]] const int ignored = OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, nullptr);
}

}  // namespace

absl::string_view ProgramVersion() { return LNB_VERSION; }

void ParseProgramFlags(int argc, char** argv, absl::string_view purpose) {
  // Debian's abseil looks for deadlocks at every mutex that gRPC locks, in one graph for all.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  OccupyStandardDescriptors();
  RaiseDescriptorLimit();
  KeepOpenSslUntilTheEnd();
  const std::string program = ProgramName(argv[0]);
  for (int i = 1; i < argc; ++i) {
    const absl::string_view argument = argv[i];
    if (argument == "--help" || argument == "-help" || argument == "-h") {
      PrintHelp(program, purpose);
    }
    if (argument == "--version" || argument == "-version") {
      PrintAndExit(absl::StrCat(program, " ", ProgramVersion(), "\n"));
    }
  }
  CheckFlags({argv + 1, argv + argc}, 0, program);
  absl::ParseCommandLine(argc, argv);
}

int ReportFailure(absl::string_view program, const absl::Status& status) {
  const std::string line = absl::StrCat(program, ": ", Printable(status.message()), "\n");
  FlushLog(absl::Seconds(1));              // What led to it goes first.
  (void)std::fputs(line.c_str(), stderr);  // Where it fails, the exit status tells.
  return absl::IsInvalidArgument(status) && absl::StartsWith(status.message(), "--") ? kExitUsage
                                                                                     : kExitFailure;
}

}  // namespace llama
