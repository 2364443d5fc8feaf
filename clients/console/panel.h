#ifndef LLAMA_CLIENTS_CONSOLE_PANEL_H_
#define LLAMA_CLIENTS_CONSOLE_PANEL_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "clients/console/styled_text.h"
#include "llama/v1/common.pb.h"

namespace llama {

// What is known of a reply under way.
struct PanelState {
  std::optional<int64_t> prompt_tokens;  // Known once the request is accepted.
  int64_t reply_tokens = 0;
  int64_t max_tokens = 0;  // Of prompt and reply together; known with prompt_tokens.
  std::optional<v1::Token> latest;
  absl::Duration elapsed;
  std::optional<absl::Duration> first_token;  // From the request on.
  std::optional<double> tokens_per_second;
  std::string phase;                 // "queued (position 3)", "prefill 128 / 512 tokens", "decode".
  std::string prompt;                // As typed.
  std::string reply;                 // Ready for the terminal: AnnotatedText.
  std::vector<std::string> waiting;  // Spellings of tokens whose bytes are held back.
};

// The panel as rows for a screen of this size, one row of which stays free for the cursor. Text
// that is longer than the screen shows its end. `bold`: with ANSI escapes. A pure function.
std::vector<ScreenRow> RenderPanel(const PanelState& state, int64_t columns, int64_t rows,
                                   bool bold);

// A duration as "00h:01m:25s".
std::string FormatElapsed(absl::Duration elapsed);

}  // namespace llama

#endif  // LLAMA_CLIENTS_CONSOLE_PANEL_H_
