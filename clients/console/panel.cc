#include "clients/console/panel.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "clients/console/sanitize.h"

namespace llama {
namespace {

using Line = std::vector<StyledText>;

constexpr int64_t kMaxPromptRows = 3;
constexpr absl::string_view kPromptLabel = "Prompt                 :";
constexpr absl::string_view kReplyLabel = "Assistant              :";

Line ProgressLine(const PanelState& state) {
  std::string text = "Generating tokens      : ";
  if (state.prompt_tokens.has_value()) {
    absl::StrAppendFormat(&text, "%d / %d, including %d prompt tokens...",
                          *state.prompt_tokens + state.reply_tokens, state.max_tokens,
                          *state.prompt_tokens);
  } else {
    absl::StrAppend(&text, "not accepted yet...");
  }
  return {{text, true}};
}

Line LatestTokenLine(const PanelState& state) {
  std::string text = "Latest generated token : ";
  if (!state.latest.has_value()) return {{absl::StrCat(text, "none yet"), false}};
  const v1::Token& token = *state.latest;
  absl::StrAppend(&text, "\"", SanitizeForTerminal(token.spelling()), "\" (id ", token.id(), ")");
  if (token.has_logprob()) absl::StrAppendFormat(&text, ", logprob %.2f", token.logprob());
  if (token.has_rank()) absl::StrAppend(&text, ", rank ", token.rank());
  return {{text, false}};
}

Line ElapsedLine(const PanelState& state) {
  Line line = {{"Total elapsed          : ", false}, {FormatElapsed(state.elapsed), true}};
  if (state.first_token.has_value()) {
    line.push_back({", first token after ", false});
    line.push_back({absl::StrFormat("%.2f s", absl::ToDoubleSeconds(*state.first_token)), true});
  }
  if (state.tokens_per_second.has_value()) {
    line.push_back({", now ", false});
    line.push_back({absl::StrFormat("%.1f tokens/s", *state.tokens_per_second), true});
  }
  return line;
}

Line WaitingLine(const PanelState& state) {
  const std::string spellings =
      absl::StrJoin(state.waiting, ", ", [](std::string* out, const std::string& spelling) {
        absl::StrAppend(out, "\"", SanitizeForTerminal(spelling), "\"");
      });
  return {{"Tokens waiting to be processed further:", true},
          {absl::StrCat(" ", spellings, ", possibly a part of an upcoming emoji"), false}};
}

// `text` under a label. Of more rows than `limit` the last remain, behind the label and an
// ellipsis.
std::vector<ScreenRow> LabelledRows(absl::string_view label, absl::string_view text, int64_t width,
                                    int64_t limit, bool bold) {
  const Line line = {{std::string(label), true}, {absl::StrCat(" \"", text, "\""), false}};
  std::vector<ScreenRow> rows = WrapStyledText(line, width, bold);
  if (static_cast<int64_t>(rows.size()) <= limit) return rows;
  const Line head = {{std::string(label), true}, {" …", false}};
  rows.erase(rows.begin(), rows.end() - (limit - 1));
  rows.insert(rows.begin(), WrapStyledText(head, width, bold).front());
  return rows;
}

}  // namespace

std::string FormatElapsed(absl::Duration elapsed) {
  const int64_t seconds = std::max<int64_t>(absl::ToInt64Seconds(elapsed), 0);
  return absl::StrFormat("%02dh:%02dm:%02ds", seconds / 3600, seconds / 60 % 60, seconds % 60);
}

std::vector<ScreenRow> RenderPanel(const PanelState& state, int64_t columns, int64_t rows,
                                   bool bold) {
  // The last column stays free: terminals differ in where the cursor is once it is written.
  const int64_t width = std::max<int64_t>(columns - 1, 1);
  const auto room = static_cast<size_t>(std::max<int64_t>(rows - 1, 1));
  std::vector<ScreenRow> panel;
  for (const Line& line : {Line{{"Press Ctrl+C to stop.", false}}, ProgressLine(state),
                           LatestTokenLine(state), ElapsedLine(state),
                           Line{{absl::StrCat("Running for next token : ", state.phase), false}}}) {
    panel.push_back(WrapStyledText(line, width, bold).front());
  }
  const auto append = [&panel](const std::vector<ScreenRow>& more) {
    panel.insert(panel.end(), more.begin(), more.end());
  };
  append(
      LabelledRows(kPromptLabel, SanitizeForTerminal(state.prompt), width, kMaxPromptRows, bold));
  std::vector<ScreenRow> waiting;
  if (!state.waiting.empty()) waiting.push_back(WrapStyledText(WaitingLine(state), width, bold)[0]);
  const auto left =
      static_cast<int64_t>(room) - static_cast<int64_t>(panel.size() + waiting.size());
  append(LabelledRows(kReplyLabel, state.reply, width, std::max<int64_t>(left, 2), bold));
  append(waiting);
  if (panel.size() > room) {
    panel.erase(panel.begin(), panel.end() - static_cast<std::ptrdiff_t>(room));
  }
  return panel;
}

}  // namespace llama
