#ifndef LLAMA_COMMON_PROGRAM_H_
#define LLAMA_COMMON_PROGRAM_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

// What the main() of every program does alike.
namespace llama {

inline constexpr int kExitFailure = 1;
inline constexpr int kExitUsage = 2;

// Reads the command line into the program's ABSL_FLAGs, --flagfile and --tryfromenv included.
// Exits: 0 after --help (`purpose`, a sentence or two, then every flag with its default) or
// --version; 2 with a line on standard error for an unknown flag, a value that cannot be parsed or
// an argument that is no flag. Call first in main(): it also makes the process safe to start with
// standard descriptors closed, and raises its limit of descriptors as far as it may.
void ParseProgramFlags(int argc, char** argv, absl::string_view purpose);

// The line for standard error, "PROGRAM: MESSAGE", control characters escaped; returns the exit
// status: 2 for InvalidArgument statuses whose message starts with "--", which blame a flag,
// else 1.
int ReportFailure(absl::string_view program, const absl::Status& status);

// The version of the project, "0.1.0".
absl::string_view ProgramVersion();

}  // namespace llama

#endif  // LLAMA_COMMON_PROGRAM_H_
