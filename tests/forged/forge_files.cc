// Writes the forged files and their good twins, for the real programs to read:
//
//   forge_files FOLDER
//
// makes FOLDER/NAME/ for each, and prints a line per case: its name, "model" or "tokenizer", and
// what the refusal must hold, with tabs between; nothing for a good twin.
#include <filesystem>
#include <iostream>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "tests/forged/cases.h"

int main(int argc, char** argv) {
  using namespace llama::forged;
  if (argc != 2) {
    std::cerr << "usage: forge_files FOLDER\n";
    return 2;
  }
  for (const Case& forged : AllCases()) {
    const std::string folder = absl::StrCat(argv[1], "/", forged.name);
    std::filesystem::create_directories(folder);
    forged.write(folder);
    std::string line =
        absl::StrCat(forged.name, "\t", forged.reader == Reader::kModel ? "model" : "tokenizer");
    for (const std::string& part : forged.expected) absl::StrAppend(&line, "\t", part);
    std::puts(line.c_str());
  }
  return 0;
}
