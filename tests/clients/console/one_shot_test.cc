#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_join.h"
#include "common/rpc/grpc_status.h"
#include "common/status_details.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/clients/console/console_fixture.h"

// One reply without the menu.
namespace llama {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

using OneShotTest = ConsoleTest;

TEST_F(OneShotTest, PrintsTheReplyAlone) {
  gateway_.SetScript(Say(Hello() + Bytes("👀") + Eos()));
  FinishedProcess finished = Run({"--completion=Hello"});
  EXPECT_EQ(finished.exit_status, 0);
  EXPECT_EQ(finished.output, " Bob and I👀\n");
  EXPECT_EQ(finished.errors, "");
  EXPECT_EQ(Run({"--prompt=Hi", "--system=Be brief"}).output, " Bob and I👀\n");
  const std::vector<v1::GenerateRequest> requests = gateway_.requests();
  ASSERT_EQ(requests.size(), 2);
  EXPECT_EQ(requests[0].prompt().text(), "Hello");
  EXPECT_EQ(requests[1].prompt().chat().messages(0).content(), "Be brief");
  EXPECT_EQ(requests[1].prompt().chat().messages(1).content(), "Hi");
}

TEST_F(OneShotTest, WritesNoEscapesToATerminal) {
  gateway_.SetScript(Say({Accepted(1, 9), Word("\x1b[2Jx")}));
  TerminalConsole console(Terminal({"--completion=Hello"}));
  EXPECT_EQ(console.AwaitExit(), 0);
  EXPECT_EQ(console.output(), "\\x1B[2Jx\r\n");
}

TEST_F(OneShotTest, WritesTheModelsBytesToAPipe) {
  gateway_.SetScript(Say({Accepted(1, 9), Word("\x1b[2Jx\n")}));
  EXPECT_EQ(Run({"--completion=Hello"}).output, "\x1b[2Jx\n\n");
}

TEST_F(OneShotTest, JsonIsALineForEveryMessage) {
  gateway_.SetScript(Say(Hello() + Eos()));
  const FinishedProcess finished = Run({"--completion=Hello", "--json"});
  EXPECT_EQ(finished.exit_status, 0);
  EXPECT_EQ(std::count(finished.output.begin(), finished.output.end(), '\n'), 5);
  EXPECT_THAT(finished.output,
              AllOf(StartsWith("{\"accepted\":"), HasSubstr("\n{\"delta\":{\"text\":\" Bob\""),
                    HasSubstr("\"FINISH_REASON_EOS\"")));
}

TEST_F(OneShotTest, FlagsReachTheRequest) {
  gateway_.SetScript(Say(Hello() + Eos()));
  const FinishedProcess finished = Run(
      {"--completion=Hello", "--max_tokens=500", "--temperature=0.8", "--top_k=40", "--top_p=0.9",
       "--min_p=0.1", "--seed=18446744073709551615", "--repetition_penalty=1.1",
       "--presence_penalty=-1", "--frequency_penalty=0.5", "--penalty_window=64", "--stop=END"});
  EXPECT_EQ(finished.exit_status, 0) << finished.errors;
  ASSERT_EQ(gateway_.requests().size(), 1);
  const v1::GenerateRequest request = gateway_.requests()[0];
  EXPECT_FLOAT_EQ(request.sampling().temperature(), 0.8F);
  EXPECT_EQ(request.sampling().top_k(), 40);
  EXPECT_FLOAT_EQ(request.sampling().top_p(), 0.9F);
  EXPECT_FLOAT_EQ(request.sampling().min_p(), 0.1F);
  EXPECT_EQ(request.sampling().seed(), UINT64_MAX);
  EXPECT_FLOAT_EQ(request.sampling().repetition_penalty(), 1.1F);
  EXPECT_FLOAT_EQ(request.sampling().presence_penalty(), -1);
  EXPECT_FLOAT_EQ(request.sampling().frequency_penalty(), 0.5F);
  EXPECT_EQ(request.sampling().penalty_window(), 64);
  EXPECT_EQ(request.stopping().max_tokens(), 500);
  EXPECT_FALSE(request.stopping().has_max_total_tokens());
  EXPECT_EQ(request.stopping().stop_sequences(0), "END");
}

TEST_F(OneShotTest, WrongUsageExitsWithTwo) {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"--prompt="},
                                             {"--completion="},
                                             {"--prompt=a", "--completion=b"},
                                             {"--system=a"},
                                             {"--json"},
                                             {"--completion=a", "--seed=-1"},
                                             {"--completion=\xff"},
                                             {"--temperature=x"},
                                             {"--no_such_flag"},
                                             {"word"}}) {
    const FinishedProcess finished = Run(arguments);
    EXPECT_EQ(finished.exit_status, 2) << absl::StrJoin(arguments, " ");
    EXPECT_THAT(finished.errors, StartsWith("lnb-console: ")) << absl::StrJoin(arguments, " ");
  }
  EXPECT_EQ(gateway_.requests().size(), 0);
}

TEST_F(OneShotTest, FailsWithALineAndKeepsWhatCame) {
  gateway_.SetScript(
      [](grpc::ServerContext&, const v1::GenerateRequest&, FakeGateway::Writer& writer) {
        writer.Write(Word("half"));
        return ToGrpcStatus(MakeStatus(absl::StatusCode::kUnavailable, "BACKEND_LOST", "gone"));
      });
  const FinishedProcess finished = Run({"--completion=Hello"});
  EXPECT_EQ(finished.exit_status, 1);
  EXPECT_EQ(finished.output, "half\n");
  EXPECT_THAT(finished.errors, AllOf(StartsWith("lnb-console: "), HasSubstr("BACKEND_LOST: gone")));
}

TEST_F(OneShotTest, AnOutputThatCannotBeWrittenEndsWithALine) {
  gateway_.SetScript(SayAndWait(Hello()));
  for (const OutputTo to : {OutputTo::kClosed, OutputTo::kFullDevice, OutputTo::kBrokenPipe}) {
    for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
             {}, {"--completion=Hello"}, {"--completion=Hello", "--json"}}) {
      const FinishedProcess finished = Run(arguments, "1\n", to);
      EXPECT_EQ(finished.exit_status, 1);
      EXPECT_THAT(finished.errors, StartsWith("lnb-console: cannot write to standard output: "));
    }
  }
}

}  // namespace
}  // namespace llama
