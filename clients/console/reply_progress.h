#ifndef LLAMA_CLIENTS_CONSOLE_REPLY_PROGRESS_H_
#define LLAMA_CLIENTS_CONSOLE_REPLY_PROGRESS_H_

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "clients/console/marked_text.h"
#include "clients/console/panel.h"
#include "llama/v1/gateway_service.pb.h"

namespace llama {

// What the messages of one reply add up to. A value: copies are snapshots. Knows no clock; times
// are given.
class ReplyProgress {
 public:
  explicit ReplyProgress(absl::Time start) : start_(start) {}

  void Push(const v1::GenerateResponse& response, absl::Time now);

  const MarkedText& text() const { return text_; }
  // Nullopt while the reply is under way, or if it was cut short.
  const std::optional<v1::Finished>& finished() const { return finished_; }
  // The panel's state but for the prompt; `names` as in AnnotatedText.
  PanelState Panel(absl::Time now, bool names) const;
  // "7 tokens, first token after 0.41 s, 12.4 tokens/s": the service's own numbers if it sent them.
  std::string Statistics(absl::Time now) const;

 private:
  struct WaitingToken {
    std::string spelling;
    size_t bytes;
  };
  void PushDelta(const v1::Delta& delta, absl::Time now);

  absl::Time start_;
  TextMarker marker_;
  MarkedText text_;
  std::optional<int64_t> prompt_tokens_;
  int64_t reply_tokens_ = 0;
  int64_t max_tokens_ = 0;  // Of prompt and reply together.
  std::optional<v1::Token> latest_;
  std::optional<absl::Time> first_token_;
  std::deque<absl::Time> arrivals_;  // Of the latest tokens.
  std::string phase_ = "waiting for the gateway";
  std::vector<WaitingToken> waiting_;
  std::optional<v1::Finished> finished_;
};

// "Finished by reaching EOS token."
std::string DescribeFinish(const v1::Finished& finished);

}  // namespace llama

#endif  // LLAMA_CLIENTS_CONSOLE_REPLY_PROGRESS_H_
