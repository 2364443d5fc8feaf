// What libsentencepiece says, as a program of its own, since its copy of protobuf cannot live in
// one process with another: sentencepiece_oracle MODEL, with lines "e HEX" (encode the bytes) and
// "d ID ID …" (decode) on standard input. Answers each with a line of ids, or of hexadecimal text.
#include <sentencepiece_processor.h>

#include <iostream>
#include <sstream>
#include <string>
#include <vector>

namespace {

std::string FromHex(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  }
  return bytes;
}

std::string ToHex(const std::string& bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  for (const unsigned char byte : bytes) {
    hex += kDigits[byte >> 4];
    hex += kDigits[byte & 15];
  }
  return hex;
}

}  // namespace

int main(int argc, char** argv) {
  sentencepiece::SentencePieceProcessor processor;
  if (argc != 2 || !processor.Load(argv[1]).ok()) return 1;
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string what;
    words >> what;
    if (what == "e") {
      std::string hex;
      words >> hex;
      std::vector<int> ids;
      if (!processor.Encode(FromHex(hex), &ids).ok()) return 1;
      for (const int id : ids) std::cout << id << ' ';
    } else {
      std::vector<int> ids;
      for (int id = 0; words >> id;) ids.push_back(id);
      std::string text;
      if (!processor.Decode(ids, &text).ok()) return 1;
      std::cout << ToHex(text);
    }
    std::cout << '\n';
  }
}
