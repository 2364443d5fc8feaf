#ifndef LLAMA_TESTS_CLIENTS_CONSOLE_CONSOLE_FIXTURE_H_
#define LLAMA_TESTS_CLIENTS_CONSOLE_CONSOLE_FIXTURE_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/clients/console/console_process.h"
#include "tests/clients/console/fake_gateway.h"

// The real program, on a pseudo-terminal and without one, against a scripted gateway.
namespace llama {

inline std::vector<v1::GenerateResponse> Hello() {
  return {Accepted(7, 193), Word(" Bob"), Word(" and"), Word(" I")};
}

inline std::vector<v1::GenerateResponse> operator+(std::vector<v1::GenerateResponse> a,
                                                   const std::vector<v1::GenerateResponse>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

inline std::vector<v1::GenerateResponse> Eos() { return {Done(v1::FINISH_REASON_EOS)}; }

class ConsoleTest : public ::testing::Test {
 protected:
  std::string GatewayFlag() const { return absl::StrCat("--gateway=", gateway_.address()); }

  TerminalConsole::Options Terminal(std::vector<std::string> arguments = {},
                                    std::vector<std::string> environment = {}) {
    arguments.push_back(GatewayFlag());
    return {std::move(arguments), std::move(environment)};
  }

  FinishedProcess Run(std::vector<std::string> arguments, const std::string& input = "",
                      OutputTo output_to = OutputTo::kFile) {
    arguments.push_back(GatewayFlag());
    return RunConsole(arguments, input, output_to);
  }

  FakeGateway gateway_;
};

}  // namespace llama

#endif  // LLAMA_TESTS_CLIENTS_CONSOLE_CONSOLE_FIXTURE_H_
