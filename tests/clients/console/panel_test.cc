#include "clients/console/panel.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "clients/console/painter.h"
#include "clients/console/reply_progress.h"
#include "clients/console/styled_text.h"
#include "clients/console/utf8.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/clients/console/screen.h"

namespace llama {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

std::vector<std::string> Texts(const std::vector<ScreenRow>& rows) {
  std::vector<std::string> texts;
  for (const ScreenRow& row : rows) texts.push_back(row.text);
  return texts;
}

PanelState UnderWay() {
  PanelState state;
  state.prompt_tokens = 7;
  state.reply_tokens = 1;
  state.max_tokens = 200;
  v1::Token token;
  token.set_id(4911);
  token.set_spelling("▁User");
  token.set_logprob(-1.234F);
  token.set_rank(1);
  state.latest = token;
  state.elapsed = absl::Seconds(85);
  state.first_token = absl::Milliseconds(410);
  state.tokens_per_second = 12.4;
  state.phase = "decode";
  state.prompt = "Hello, my name is";
  state.reply = " User";
  return state;
}

TEST(PanelTest, LooksAsDesigned) {
  PanelState state = UnderWay();
  EXPECT_THAT(
      Texts(RenderPanel(state, 120, 24, false)),
      ElementsAre(
          "Press Ctrl+C to stop.", "Generating tokens      : 8 / 200, including 7 prompt tokens...",
          "Latest generated token : \"▁User\" (id 4911), logprob -1.23, rank 1",
          "Total elapsed          : 00h:01m:25s, first token after 0.41 s, now 12.4 "
          "tokens/s",
          "Running for next token : decode", "Prompt                 : \"Hello, my name is\"",
          "Assistant              : \" User\""));
  state.waiting = {"<0xF0>", "<0x9F>"};
  EXPECT_EQ(RenderPanel(state, 120, 24, false).back().text,
            "Tokens waiting to be processed further: \"<0xF0>\", \"<0x9F>\", possibly a part of an "
            "upcoming emoji");
}

TEST(PanelTest, BoldPartsAreBold) {
  PanelState state = UnderWay();
  state.waiting = {"<0xF0>"};
  const std::string panel = absl::StrJoin(Texts(RenderPanel(state, 120, 24, true)), "\n");
  EXPECT_THAT(panel, HasSubstr("\x1b[1mGenerating tokens      : 8 / 200, including 7 prompt "
                               "tokens...\x1b[0m\n"));
  EXPECT_THAT(panel, HasSubstr("Total elapsed          : \x1b[1m00h:01m:25s\x1b[0m, first token "
                               "after \x1b[1m0.41 s\x1b[0m, now \x1b[1m12.4 tokens/s\x1b[0m\n"));
  EXPECT_THAT(panel, HasSubstr("\x1b[1mPrompt                 :\x1b[0m \"Hello"));
  EXPECT_THAT(panel, HasSubstr("\x1b[1mTokens waiting to be processed further:\x1b[0m \"<0xF0>"));
}

TEST(PanelTest, WhatIsNotKnownYetIsLeftOut) {
  PanelState state;
  state.phase = "queued (position 3)";
  EXPECT_THAT(
      Texts(RenderPanel(state, 80, 24, false)),
      ElementsAre("Press Ctrl+C to stop.", "Generating tokens      : not accepted yet...",
                  "Latest generated token : none yet", "Total elapsed          : 00h:00m:00s",
                  "Running for next token : queued (position 3)", "Prompt                 : \"\"",
                  "Assistant              : \"\""));
}

TEST(PanelTest, ALongReplyShowsItsEnd) {
  PanelState state = UnderWay();
  state.reply.clear();
  for (int i = 0; i < 100; ++i) absl::StrAppend(&state.reply, "line ", i, "\n");
  state.reply += "the end";
  const std::vector<std::string> panel = Texts(RenderPanel(state, 80, 12, false));
  ASSERT_THAT(panel, SizeIs(11));
  EXPECT_EQ(panel[0], "Press Ctrl+C to stop.");
  EXPECT_EQ(panel[6], "Assistant              : …");
  EXPECT_EQ(panel[9], "line 99");
  EXPECT_EQ(panel[10], "the end\"");
}

TEST(PanelTest, EveryRowFitsEveryScreen) {
  PanelState state = UnderWay();
  state.waiting = {"<0xF0>"};
  state.prompt = "How to go\tfrom 北京 to NY?\n" + std::string(200, 'x');
  for (int i = 0; i < 20; ++i)
    state.reply += "👨‍👩‍👧‍👦 [:family:\\U0001F468] 中文\nword ";
  for (int64_t columns = 3; columns < 130; ++columns) {
    for (int64_t rows = 1; rows < 30; ++rows) {
      const std::vector<ScreenRow> panel = RenderPanel(state, columns, rows, false);
      ASSERT_LE(panel.size(), std::max<int64_t>(rows - 1, 1)) << columns << 'x' << rows;
      ASSERT_FALSE(panel.empty());
      for (const ScreenRow& row : panel) {
        // Only a character that is wider than the screen may stick out.
        const bool one = ClusterEnds(row.text).size() == 1;
        ASSERT_TRUE(row.width < columns || one) << columns << ' ' << row.text;
        ASSERT_EQ(row.width, DisplayWidth(row.text)) << row.text;
      }
    }
  }
}

TEST(PanelTest, ControlCharactersOfPromptAndTokensAreNotExecuted) {
  PanelState state = UnderWay();
  state.prompt = "\x1b[2J";
  state.latest->set_spelling("\x1b[3J");
  state.waiting = {"\x1b"};
  EXPECT_THAT(absl::StrJoin(Texts(RenderPanel(state, 120, 24, false)), "\n"),
              Not(HasSubstr("\x1b")));
}

TEST(PanelTest, ElapsedTimeHasHours) {
  EXPECT_EQ(FormatElapsed(absl::Hours(100) + absl::Seconds(61)), "100h:01m:01s");
  EXPECT_EQ(FormatElapsed(-absl::Seconds(1)), "00h:00m:00s");
}

TEST(StyledTextTest, RowsBreakAtTheWidthAndAtNewlines) {
  const std::vector<StyledText> pieces = {{"ab", true}, {"cde\nf", false}};
  EXPECT_THAT(Texts(WrapStyledText(pieces, 3, false)), ElementsAre("abc", "de", "f"));
  EXPECT_THAT(Texts(WrapStyledText(pieces, 3, true)), ElementsAre("\x1b[1mab\x1b[0mc", "de", "f"));
  EXPECT_THAT(Texts(WrapStyledText(std::vector<StyledText>{{"abcd", true}}, 3, true)),
              ElementsAre("\x1b[1mabc\x1b[0m", "\x1b[1md\x1b[0m"));
  EXPECT_THAT(Texts(WrapStyledText({}, 3, true)), ElementsAre(""));
}

TEST(StyledTextTest, WideCharactersAreNotCut) {
  EXPECT_THAT(Texts(WrapStyledText(std::vector<StyledText>{{"a中中", false}}, 4, false)),
              ElementsAre("a中", "中"));
}

TEST(PainterTest, ABlockTakesThePlaceOfTheOneBefore) {
  Screen screen(40, 10);
  screen.Feed("above\n");
  Painter painter;
  const std::vector<ScreenRow> three = {{"one", 3}, {"two", 3}, {"three", 5}};
  const std::vector<ScreenRow> two = {{"1", 1}, {"2", 1}};
  screen.Feed(painter.Draw(three, 40, 10));
  EXPECT_THAT(screen.Lines(), ElementsAre("above", "one", "two", "three"));
  screen.Feed(painter.Draw(two, 40, 10));
  EXPECT_THAT(screen.Lines(), ElementsAre("above", "1", "2"));
  screen.Feed(painter.Draw(three, 40, 10));
  EXPECT_THAT(screen.Lines(), ElementsAre("above", "one", "two", "three"));
  screen.Feed(painter.Erase(40, 10));
  EXPECT_THAT(screen.Lines(), ElementsAre("above"));
  EXPECT_THAT(screen.unknown(), IsEmpty());
}

// Also at the bottom of the screen, where every row scrolls it.
TEST(PainterTest, AGrowingPanelLeavesNothingBehind) {
  for (const int64_t rows : {2, 5, 9, 24}) {
    Screen screen(60, rows);
    Painter painter;
    for (int i = 0; i < 30; ++i) screen.Feed(absl::StrCat("before ", i, "\n"));
    PanelState state = UnderWay();
    for (int i = 0; i < 60; ++i) {
      absl::StrAppend(&state.reply, "word ", i, " 👀 ");
      screen.Feed(painter.Draw(RenderPanel(state, 60, rows, true), 60, rows));
    }
    std::vector<std::string> expected;
    for (int i = 0; i < 30; ++i) expected.push_back(absl::StrCat("before ", i));
    for (const std::string& row : Texts(RenderPanel(state, 60, rows, false))) {
      expected.push_back(row.substr(0, row.find_last_not_of(' ') + 1));
    }
    EXPECT_EQ(screen.Lines(), expected) << rows;
    screen.Feed(painter.Erase(60, rows));
    expected.resize(30);
    EXPECT_EQ(screen.Lines(), expected) << rows;
  }
}

TEST(PainterTest, ANarrowerOrWiderTerminalLeavesNothingBehind) {
  for (const int64_t columns : {20, 31, 59, 60, 61, 200}) {
    Screen screen(60, 24);
    Painter painter;
    screen.Feed("above\n");
    const PanelState state = UnderWay();
    screen.Feed(painter.Draw(RenderPanel(state, 60, 24, true), 60, 24));
    screen.Resize(columns, 24);
    screen.Feed(painter.Draw(RenderPanel(state, columns, 24, true), columns, 24));
    screen.Feed(painter.Erase(columns, 24));
    EXPECT_THAT(screen.Lines(), ElementsAre("above")) << columns;
  }
}

class ReplyProgressTest : public ::testing::Test {
 protected:
  // A delta of one token.
  void Push(const std::string& text, const std::string& piece, const std::string& spelling,
            const std::string& held) {
    v1::GenerateResponse response;
    v1::Delta& delta = *response.mutable_delta();
    delta.set_text(text);
    delta.set_held(held);
    v1::Token& token = *delta.add_tokens();
    token.set_piece(piece);
    token.set_spelling(spelling);
    now_ += absl::Milliseconds(100);
    progress_.Push(response, now_);
  }

  absl::Time now_ = absl::UnixEpoch();
  ReplyProgress progress_{now_};
};

TEST_F(ReplyProgressTest, MessagesAddUp) {
  v1::GenerateResponse response;
  response.mutable_accepted()->mutable_accepted()->set_prompt_tokens(7);
  response.mutable_accepted()->mutable_accepted()->set_max_tokens(193);
  progress_.Push(response, now_);
  response.mutable_progress()->set_queue_position(3);
  progress_.Push(response, now_);
  EXPECT_EQ(progress_.Panel(now_, true).phase, "queued (position 3)");
  response.mutable_progress()->mutable_prefill()->set_tokens_done(128);
  response.mutable_progress()->mutable_prefill()->set_tokens_total(512);
  progress_.Push(response, now_);
  EXPECT_EQ(progress_.Panel(now_, true).phase, "prefill 128 / 512 tokens");
  for (int i = 0; i < 3; ++i) Push("x", "x", "x", "");
  const PanelState panel = progress_.Panel(now_, true);
  EXPECT_EQ(panel.phase, "decode");
  EXPECT_EQ(panel.prompt_tokens, 7);
  EXPECT_EQ(panel.reply_tokens, 3);
  EXPECT_EQ(panel.max_tokens, 200);
  EXPECT_EQ(panel.first_token, absl::Milliseconds(100));
  EXPECT_DOUBLE_EQ(panel.tokens_per_second.value(), 10);
  EXPECT_EQ(panel.reply, "xxx");
  EXPECT_EQ(progress_.Statistics(now_), "3 tokens, first token after 0.10 s, 10.0 tokens/s");
}

TEST_F(ReplyProgressTest, TokensWhoseBytesAreHeldBackWait) {
  Push("a", "a", "▁a", "");
  EXPECT_THAT(progress_.Panel(now_, true).waiting, IsEmpty());
  Push("", "\xF0", "<0xF0>", "\xF0");
  Push("", "\x9F", "<0x9F>", "\xF0\x9F");
  EXPECT_THAT(progress_.Panel(now_, true).waiting, ElementsAre("<0xF0>", "<0x9F>"));
  Push("", "\x91", "<0x91>", "\xF0\x9F\x91");
  Push("👀", "\x80", "<0x80>", "");
  EXPECT_THAT(progress_.Panel(now_, true).waiting, IsEmpty());
  EXPECT_EQ(progress_.Panel(now_, true).reply, "a👀 [:eyes:\\U0001F440]");
  EXPECT_EQ(progress_.Panel(now_, false).reply, "a👀");
}

TEST_F(ReplyProgressTest, TheServicesNumbersCountAtTheEnd) {
  Push("x", "x", "x", "");
  v1::GenerateResponse response;
  v1::Finished& finished = *response.mutable_finished();
  finished.mutable_usage()->set_completion_tokens(5);
  finished.mutable_timings()->mutable_time_to_first_token()->set_nanos(250'000'000);
  finished.mutable_timings()->set_decode_tokens_per_second(7.5);
  progress_.Push(response, now_);
  EXPECT_EQ(progress_.Statistics(now_), "5 tokens, first token after 0.25 s, 7.5 tokens/s");
}

TEST_F(ReplyProgressTest, AReplyWithoutTokensHasNoSpeed) {
  EXPECT_EQ(progress_.Statistics(now_), "0 tokens");
}

TEST(DescribeFinishTest, EveryReasonIsTold) {
  const auto describe = [](v1::FinishReason reason) {
    v1::Finished finished;
    finished.set_reason(reason);
    return DescribeFinish(finished);
  };
  EXPECT_EQ(describe(v1::FINISH_REASON_EOS), "Finished by reaching EOS token.");
  EXPECT_EQ(describe(v1::FINISH_REASON_MAX_TOKENS), "Finished by reaching sequence length.");
  EXPECT_EQ(describe(v1::FINISH_REASON_CONTEXT_LENGTH), "Finished by reaching context length.");
  EXPECT_EQ(describe(v1::FINISH_REASON_STOP_SEQUENCE), "Finished by reaching a stop sequence.");
  EXPECT_EQ(describe(v1::FINISH_REASON_UNSPECIFIED), "Finished for an unknown reason (0).");
}

}  // namespace
}  // namespace llama
