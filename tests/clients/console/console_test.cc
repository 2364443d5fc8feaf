#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/rpc/grpc_status.h"
#include "common/status_details.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/clients/console/console_fixture.h"
#include "tests/clients/console/screen.h"
#include "tests/support/temp_folder.h"

// The menu on a pseudo-terminal.
namespace llama {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr absl::string_view kQuestion = "press Enter):";
constexpr absl::string_view kCtrlC = "\x03";
constexpr absl::string_view kCtrlD = "\x04";
constexpr absl::string_view kUp = "\x1b[A";

// What the screen shows of all that came.
std::vector<std::string> ScreenOf(const TerminalConsole& console) {
  Screen screen(100, 40);
  screen.Feed(console.output());
  return screen.Lines();
}

TEST_F(ConsoleTest, WelcomesAndAnswersBadChoices) {
  TerminalConsole console(Terminal());
  EXPECT_THAT(console.ReadUntil(kQuestion),
              AllOf(HasSubstr("Welcome to Llama Nuts and Bolts!\r\n"
                              "================================\r\n"),
                    HasSubstr(": tiny\r\n"), HasSubstr("Your choice (choose 0 to 8 and ")));
  console.Type("x\r");
  console.ReadUntil("Not a valid number.\r\n");
  console.ReadUntil(kQuestion);
  console.Type(" 9 \r");
  console.ReadUntil("Choice must be between 0 and 8.\r\n");
  console.ReadUntil(kQuestion);
  console.Type("7\r");
  console.ReadUntil("Write down your prompt and press Enter:");
  console.Type("\r");
  console.ReadUntil("The prompt you entered is empty.\r\n");
  console.ReadUntil(kQuestion);
  console.Type("q\r");
  EXPECT_EQ(console.AwaitExit(), 0);
  EXPECT_EQ(gateway_.requests().size(), 0);
}

TEST_F(ConsoleTest, CtrlDLeaves) {
  TerminalConsole console(Terminal());
  console.ReadUntil(kQuestion);
  console.AwaitEditor();
  console.Type(kCtrlD);
  EXPECT_EQ(console.AwaitExit(), 0);
}

TEST_F(ConsoleTest, MetadataIsPrinted) {
  TerminalConsole console(Terminal());
  console.ReadUntil(kQuestion);
  console.Type("0\r");
  EXPECT_THAT(console.ReadUntil("Model metadata was printed."),
              HasSubstr("Tensor    0: norm.weight      "));
  console.ReadUntil(kQuestion);
}

TEST_F(ConsoleTest, ThePanelGivesWayToTheReply) {
  gateway_.SetScript(Say(Hello() + Eos()));
  TerminalConsole console(Terminal());
  console.ReadUntil(kQuestion);
  console.Type("1\r");
  console.ReadUntil("Finished by reaching EOS token.");
  console.ReadUntil("3 tokens, first token after 0.41 s, 12.4 tokens/s");
  console.ReadUntil(kQuestion);
  const std::string shown = absl::StrJoin(ScreenOf(console), "\n");
  EXPECT_THAT(shown, HasSubstr("Prompt                 : \"Hello, my name is\"\n"
                               "Assistant              : \" Bob and I\"\n\n"
                               "Finished by reaching EOS token.\n"));
  EXPECT_THAT(shown, Not(HasSubstr("Press Ctrl+C")));
  ASSERT_EQ(gateway_.requests().size(), 1);
  const v1::GenerateRequest request = gateway_.requests()[0];
  EXPECT_EQ(request.prompt().text(), "Hello, my name is");
  EXPECT_EQ(request.stopping().max_total_tokens(), 200);
  EXPECT_FALSE(request.stopping().has_max_tokens());
  EXPECT_TRUE(request.output().tokens());
}

TEST_F(ConsoleTest, ThePanelShowsWhereTheReplyIs) {
  gateway_.SetScript(SayAndWait(Hello() + std::vector{Byte('\xF0', "", "\xF0")}));
  TerminalConsole console(Terminal());
  console.ReadUntil(kQuestion);
  console.Type("1\r");
  console.ReadUntil("possibly a part of an upcoming emoji");
  EXPECT_FALSE(console.Echoes());
  EXPECT_THAT(ScreenOf(console),
              AllOf(Contains("Press Ctrl+C to stop."),
                    Contains("Generating tokens      : 11 / 200, including 7 prompt tokens..."),
                    Contains("Running for next token : decode"),
                    Contains("Assistant              : \" Bob and I\"")));
  console.Type(kCtrlC);
  console.ReadUntil("Stopped by Ctrl+C.");
}

TEST_F(ConsoleTest, CtrlCStopsTheReplyAndASecondOneLeaves) {
  gateway_.SetScript(SayAndWait(Hello()));
  TerminalConsole console(Terminal());
  console.ReadUntil(kQuestion);
  console.Type("2\r");
  console.ReadUntil(" and I");
  console.Type(kCtrlC);
  console.ReadUntil("Stopped by Ctrl+C.");
  gateway_.AwaitEnded(1);  // The server knows.
  console.ReadUntil(kQuestion);
  EXPECT_THAT(ScreenOf(console), Contains("Assistant              : \" Bob and I\""));
  console.Type(kCtrlC);
  EXPECT_EQ(console.AwaitExit(), 130);
}

TEST_F(ConsoleTest, TheTerminalIsLeftAsItWas) {
  gateway_.SetScript(SayAndWait(Hello()));
  for (const bool edits : {true, false}) {  // Or is just about to.
    TerminalConsole console(Terminal());
    console.ReadUntil(kQuestion);
    console.Type("1\r");
    console.ReadUntil(" and I");
    console.Type(kCtrlC);
    console.ReadUntil(kQuestion);
    if (edits) console.AwaitEditor();
    console.Type(kCtrlC);
    EXPECT_EQ(console.AwaitExit(), 130);
    EXPECT_TRUE(console.Echoes());
  }
}

TEST_F(ConsoleTest, ADialogueGoesOnTurnByTurn) {
  gateway_.SetScript(Say(Hello() + Eos()));
  TerminalConsole console(Terminal());
  console.ReadUntil(kQuestion);
  console.Type("8\r");
  console.ReadUntil("<</SYS>>) and press Enter:");
  console.Type("Be brief\r");
  console.ReadUntil("[/INST]) and press Enter:");
  console.Type("Wer bist du, Grüße?\r");
  console.ReadUntil("next prompt");
  console.Type("And then?\r");
  console.ReadUntil("next prompt");
  console.Type("\r");
  console.ReadUntil(kQuestion);
  ASSERT_EQ(gateway_.requests().size(), 2);
  const v1::Chat chat = gateway_.requests()[1].prompt().chat();
  ASSERT_EQ(chat.messages_size(), 4);
  EXPECT_EQ(chat.messages(0).role(), v1::ROLE_SYSTEM);
  EXPECT_EQ(chat.messages(0).content(), "Be brief");
  EXPECT_EQ(chat.messages(1).content(), "Wer bist du, Grüße?");
  EXPECT_EQ(chat.messages(2).role(), v1::ROLE_ASSISTANT);
  EXPECT_EQ(chat.messages(2).content(), " Bob and I");
  EXPECT_EQ(chat.messages(3).role(), v1::ROLE_USER);
  EXPECT_EQ(chat.messages(3).content(), "And then?");
}

TEST_F(ConsoleTest, EarlierLinesCanBeEditedAgain) {
  gateway_.SetScript(Say(Hello() + Eos()));
  TerminalConsole console(Terminal());
  console.ReadUntil(kQuestion);
  console.Type("7\r");
  console.ReadUntil("press Enter:");
  console.Type("Once\r");
  console.ReadUntil(kQuestion);
  console.Type("7\r");
  console.ReadUntil("press Enter:");
  console.Type(absl::StrCat(kUp, kUp, " upon\r"));
  console.ReadUntil(kQuestion);
  ASSERT_EQ(gateway_.requests().size(), 2);
  EXPECT_EQ(gateway_.requests()[1].prompt().text(), "Once upon");
}

TEST_F(ConsoleTest, KeysTypedDuringAReplyAreReadAfterIt) {
  gateway_.SetScript(SayAndWait(Hello()));
  TerminalConsole console(Terminal());
  console.ReadUntil(kQuestion);
  console.Type("1\r");
  console.ReadUntil(" and I");
  console.Type("x\r");
  // The driver has them in order: the interrupt would throw them away.
  gateway_.SetScript(Say(Hello() + Eos()));
  gateway_.Kill();
  console.ReadUntil("Not a valid number.");
}

TEST_F(ConsoleTest, NoColorMeansNoEscapes) {
  gateway_.SetScript(Say(Hello() + Eos()));
  for (const char* const variable : {"NO_COLOR=1", "TERM=dumb"}) {
    TerminalConsole console(Terminal({}, {variable}));
    console.ReadUntil(kQuestion);
    console.Type("1\r");
    console.ReadUntil(" Bob and I\r\n");
    console.ReadUntil("Finished by reaching EOS token.");
    console.ReadUntil(kQuestion);
    console.Type("q\r");
    EXPECT_EQ(console.AwaitExit(), 0);
    EXPECT_THAT(console.output(), Not(HasSubstr("\x1b"))) << variable;
  }
}

TEST_F(ConsoleTest, TheModelsEscapesAreShownAndNotExecuted) {
  gateway_.SetScript(Say({Accepted(1, 9), Word("\x1b]0;evil\x07\x1b[2J\u009b\u202e"),
                          Done(v1::FINISH_REASON_MAX_TOKENS)}));
  TerminalConsole console(Terminal());
  console.ReadUntil(kQuestion);
  console.Type("1\r");
  console.ReadUntil("Finished by reaching sequence length.");
  EXPECT_THAT(ScreenOf(console),
              Contains("Assistant              : \"\\x1B]0;evil\\x07\\x1B[2J\\x9B\\u202E\""));
  EXPECT_THAT(console.output(),
              AllOf(Not(HasSubstr("\x1b]")), Not(HasSubstr("\x1b[2J")), Not(HasSubstr("\x07"))));
}

TEST_F(ConsoleTest, CharactersOfByteTokensHaveNames) {
  gateway_.SetScript(Say(Hello() + Bytes("👀") + Eos()));
  for (const bool plain : {false, true}) {
    TerminalConsole console(Terminal({plain ? "--plain" : "--noplain"}));
    console.ReadUntil(kQuestion);
    console.Type("5\r");
    console.ReadUntil("Finished by");
    EXPECT_THAT(ScreenOf(console),
                Contains(plain ? "Assistant              : \" Bob and I👀\""
                               : "Assistant              : \" Bob and I👀 [:eyes:\\U0001F440]\""));
  }
}

TEST_F(ConsoleTest, AReplyLongerThanTheScreenIsKeptWhole) {
  std::vector<v1::GenerateResponse> messages = {Accepted(1, 199)};
  std::string expected = "Assistant              : \"";
  for (int i = 0; i < 120; ++i) {
    messages.push_back(Word(absl::StrCat("line ", i, "\n")));
    absl::StrAppend(&expected, "line ", i, "\n");
  }
  gateway_.SetScript(Say(messages + Eos()));
  TerminalConsole console(Terminal());
  console.ReadUntil(kQuestion);
  console.Type("1\r");
  console.ReadUntil("Finished by");
  const std::string shown = absl::StrJoin(ScreenOf(console), "\n");
  EXPECT_THAT(shown, HasSubstr(expected));
  EXPECT_THAT(shown, Not(HasSubstr("Press Ctrl+C")));
}

TEST_F(ConsoleTest, ThePanelFollowsTheSizeOfTheWindow) {
  gateway_.SetScript(SayAndWait(
      {Accepted(1, 199), Word(absl::StrCat(std::string(200, 'a'), std::string(10, 'b')))}));
  TerminalConsole console(Terminal());
  console.ReadUntil(kQuestion);
  console.Type("1\r");
  console.ReadUntil("bbb");
  console.Resize(24, 14);
  // Only a panel that is 23 columns wide breaks the text here.
  console.ReadUntil(absl::StrCat("\n", std::string(23, 'a'), "\x1b[K"));
  console.Resize(300, 50);
  console.ReadUntil(absl::StrCat(std::string(200, 'a'), std::string(10, 'b')));
  console.Type(kCtrlC);
  console.ReadUntil("Stopped by Ctrl+C.");
}

TEST_F(ConsoleTest, LoadingShowsABar) {
  const auto loading = [](const char* percent) {
    return ToGrpcStatus(
        MakeStatus(absl::StatusCode::kUnavailable, "LOADING", "loading", {{"percent", percent}}));
  };
  gateway_.FailInfo({loading("5"), loading("40"), loading("-7"), loading("1e9")});
  TerminalConsole console(Terminal());
  console.ReadUntil("Loading the model [#-------------------]   5 %");
  console.ReadUntil("Loading the model [########------------]  40 %");
  console.ReadUntil("Loading the model [####################] 100 %");
  console.ReadUntil(kQuestion);
}

TEST_F(ConsoleTest, CtrlCLeavesWhileLoading) {
  gateway_.FailInfo(std::vector(
      1000, ToGrpcStatus(MakeStatus(absl::StatusCode::kUnavailable, "LOADING", "loading"))));
  TerminalConsole console(Terminal());
  console.ReadUntil("0 %");
  console.Type(kCtrlC);
  EXPECT_EQ(console.AwaitExit(), 130);
}

TEST_F(ConsoleTest, AFailureInMidReplyKeepsTheTextAndIsTold) {
  gateway_.SetScript(
      [](grpc::ServerContext&, const v1::GenerateRequest&, FakeGateway::Writer& writer) {
        for (const v1::GenerateResponse& message : Hello()) writer.Write(message);
        return ToGrpcStatus(
            MakeStatus(absl::StatusCode::kUnavailable, "BACKEND_LOST", "model \x1b[2J is gone"));
      });
  TerminalConsole console(Terminal());
  console.ReadUntil(kQuestion);
  console.Type("8\r");
  console.ReadUntil("press Enter:");
  console.Type("\r");
  console.ReadUntil("press Enter:");
  console.Type("Hi\r");
  console.ReadUntil("A service behind the gateway went away in the middle of the reply.");
  console.ReadUntil("BACKEND_LOST: model \\x1B[2J is gone");
  console.ReadUntil(kQuestion);  // No next turn.
  EXPECT_THAT(ScreenOf(console), Contains("Assistant              : \" Bob and I\""));
}

TEST_F(ConsoleTest, AGatewayThatDiesInMidReplyIsTold) {
  gateway_.SetScript(SayAndWait(Hello()));
  TerminalConsole console(Terminal());
  console.ReadUntil(kQuestion);
  console.Type("1\r");
  console.ReadUntil(" and I");
  gateway_.Kill();
  console.ReadUntil("The connection to the gateway was lost.");
  console.ReadUntil(kQuestion);
  EXPECT_THAT(ScreenOf(console), Contains("Assistant              : \" Bob and I\""));
  console.Type("0\r");
  console.ReadUntil("no gateway answers at");
  console.ReadUntil(kQuestion);
}

TEST_F(ConsoleTest, AnUnreachableGatewayIsToldInOneLine) {
  gateway_.Kill();
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{}, {"--prompt=Hi"}}) {
    const FinishedProcess finished = Run(arguments);
    EXPECT_EQ(finished.exit_status, 1);
    EXPECT_EQ(finished.output, "");
    EXPECT_THAT(finished.errors, AllOf(StartsWith("lnb-console: "), HasSubstr(gateway_.address()),
                                       HasSubstr("lnb-gateway"), HasSubstr("Connection refused)")));
    EXPECT_EQ(finished.errors.find('\n'), finished.errors.size() - 1);
  }
}

TEST_F(ConsoleTest, AGatewayThatAnswersOtherwiseIsNotCalledAbsent) {
  gateway_.FailInfo({{grpc::StatusCode::RESOURCE_EXHAUSTED, "message too large"},
                     {grpc::StatusCode::UNAUTHENTICATED, "expected a token"}});
  EXPECT_EQ(Run({}).errors, "lnb-console: message too large\n");
  EXPECT_EQ(Run({"--prompt=Hi"}).errors, "lnb-console: expected a token\n");
}

TEST_F(ConsoleTest, WhyThereIsNoGatewayIsTold) {
  gateway_.FailInfo({{grpc::StatusCode::UNAVAILABLE, "wrong certificate"},
                     {grpc::StatusCode::DEADLINE_EXCEEDED, "too late"},
                     {grpc::StatusCode::UNIMPLEMENTED, ""}});
  for (const absl::string_view cause : {"wrong certificate", "too late", "UNIMPLEMENTED"}) {
    EXPECT_THAT(Run({}).errors, AllOf(StartsWith("lnb-console: no gateway answers at "),
                                      HasSubstr(absl::StrCat("(", cause, ")\n"))));
  }
}

TEST_F(ConsoleTest, PipedInputIsReadLineByLine) {
  gateway_.SetScript(Say(Hello() + Bytes("👀") + Eos()));
  const FinishedProcess finished = Run({}, "1\nx\n7\nOnce\n8\n\nHi\nAnd?\n\n 1");
  EXPECT_EQ(finished.exit_status, 0);
  EXPECT_EQ(finished.errors, "");
  EXPECT_THAT(finished.output, AllOf(HasSubstr(" Bob and I👀 [:eyes:\\U0001F440]\n\nFinished by"),
                                     HasSubstr("Not a valid number."), Not(HasSubstr("\x1b"))));
  const std::vector<v1::GenerateRequest> requests = gateway_.requests();
  ASSERT_EQ(requests.size(), 5);
  EXPECT_EQ(requests[1].prompt().text(), "Once");
  ASSERT_EQ(requests[2].prompt().chat().messages_size(), 1);
  EXPECT_EQ(requests[3].prompt().chat().messages(2).content(), "And?");
  EXPECT_EQ(requests[4].prompt().text(), "Hello, my name is");
}

TEST_F(ConsoleTest, FurtherPromptsFollowTheMenuOfTheirModel) {
  const TempFolder folder;
  const std::string path = folder.Path("prompts");
  gateway_.SetScript(Say(Hello() + Eos()));
  for (const bool served : {true, false}) {
    std::ofstream(path) << "model\t" << (served ? "tiny" : "other") << "\ncompletion\tOnce upon\n";
    const FinishedProcess finished = Run({absl::StrCat("--prompts=", path)}, "9\n");
    EXPECT_EQ(finished.exit_status, 0);
    EXPECT_THAT(finished.output, served ? HasSubstr(" 9. [Text completion] Prompt: Once upon\n")
                                        : HasSubstr("Choice must be between 0 and 8."));
  }
  ASSERT_EQ(gateway_.requests().size(), 1);
  EXPECT_EQ(gateway_.requests()[0].prompt().text(), "Once upon");
  std::filesystem::remove(path);
  const FinishedProcess missing = Run({absl::StrCat("--prompts=", path)});
  EXPECT_EQ(missing.exit_status, 1);
  EXPECT_THAT(missing.errors, HasSubstr(path));
}

}  // namespace
}  // namespace llama
