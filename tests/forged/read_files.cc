// Reads files as the servers do, in a process whose time and memory can be measured:
//
//   read_files model|tokenizer FOLDER
//
// prints the most memory it had, in kilobytes, and on the next line OK, or why they are refused.
#include <fstream>
#include <iostream>
#include <string>

#include "services/model/checkpoint/checkpoint.h"
#include "services/tokenizer/tokenizer.h"

namespace {

// Of this program alone: what wait() tells includes what ran in the process before.
std::string MostKilobytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("VmHWM:", 0) == 0) return line.substr(6, line.find("kB") - 6);
  }
  return "";
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: read_files model|tokenizer FOLDER\n";
    return 2;
  }
  const std::string folder = argv[2];
  const absl::Status status =
      std::string(argv[1]) == "model"
          ? llama::Checkpoint::Load(folder, {}).status()
          : llama::Tokenizer::Load(folder + "/tokenizer.model", 1 << 20).status();
  std::cout << MostKilobytes() << "\n" << (status.ok() ? "OK" : status.message());
  return 0;
}
