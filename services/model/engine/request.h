#ifndef LLAMA_SERVICES_MODEL_ENGINE_REQUEST_H_
#define LLAMA_SERVICES_MODEL_ENGINE_REQUEST_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

// What goes into the engine and what comes out. The meaning of every option, its default and its
// range stand in proto/llama/v1/common.proto.
namespace llama {

using TokenId = uint32_t;

struct SamplingOptions {
  float temperature = 0;
  int64_t top_k = 0;
  float top_p = 1;
  float min_p = 0;
  std::optional<uint64_t> seed = {};
  float repetition_penalty = 1;
  float presence_penalty = 0;
  float frequency_penalty = 0;
  int64_t penalty_window = 0;
  std::map<TokenId, float> logit_bias = {};
};

struct StoppingOptions {
  std::optional<int64_t> max_tokens = {};
  std::optional<int64_t> max_total_tokens = {};
  int64_t min_tokens = 0;
  std::vector<TokenId> stop_token_ids = {};
  std::vector<TokenId> eos_token_ids = {};
  bool ignore_eos = false;
  std::optional<absl::Duration> time_limit = {};
};

struct GenerateRequest {
  std::vector<TokenId> prompt = {};
  SamplingOptions sampling = {};
  StoppingOptions stopping = {};
  bool tokens = false;  // Log-probabilities and ranks come with top_candidates only.
  std::optional<int64_t> top_candidates = {};  // 0 to 20.
  bool prompt_tokens = false;                  // Report the prompt.
  bool progress = false;
  std::string cache_salt = {};
  std::string caller = {};  // Whose it is: callers have equal shares. Any text.
  absl::Time received = absl::Now();
  absl::Time deadline = absl::InfiniteFuture();  // The rpc's.
};

struct ScoreRequest {
  std::vector<TokenId> tokens = {};
  int64_t from_position = 0;
  int64_t top_candidates = 0;
  std::vector<TokenId> candidates = {};
  std::string caller = {};
  absl::Time received = absl::Now();
  absl::Time deadline = absl::InfiniteFuture();
};

struct Candidate {
  TokenId id = 0;
  float logprob = 0;
};

struct TokenReport {
  TokenId id = 0;
  std::optional<float> logprob = {};
  std::optional<int64_t> rank = {};
  std::vector<Candidate> candidates = {};
};

enum class FinishReason { kEos, kStopToken, kMaxTokens, kContextLength, kTimeLimit };

struct Timings {
  absl::Duration queue, prefill, time_to_first_token, decode, total;
  double prefill_tokens_per_second = 0;
  double decode_tokens_per_second = 0;
};

// The events of a reply, in the order of ModelService.Generate.
struct AcceptedEvent {
  std::optional<uint64_t> seed = {};
  int64_t prompt_tokens = 0;
  int64_t max_tokens = 0;
};
struct QueuedEvent {
  int64_t queue_position = 0;
};
struct PrefillEvent {
  int64_t tokens_done = 0;
  int64_t tokens_total = 0;
};
// A part of the prompt. Parts follow each other.
struct PromptEvent {
  std::vector<TokenReport> tokens = {};
};
struct TokensEvent {
  std::vector<TokenReport> tokens = {};
};
struct FinishedEvent {
  FinishReason reason = FinishReason::kEos;
  std::optional<TokenId> stop_token = {};
  int64_t prompt_tokens = 0;
  int64_t cached_prompt_tokens = 0;
  int64_t completion_tokens = 0;
  Timings timings;
};
struct PositionScore {
  int64_t position = 0;
  std::optional<float> next_logprob = {};
  float log_sum_exp = 0;
  std::vector<Candidate> top = {};
  std::vector<Candidate> requested = {};
};
// Of a score: one or more positions. They follow each other.
struct ScoreEvent {
  std::vector<PositionScore> positions = {};
};
using Event = std::variant<AcceptedEvent, QueuedEvent, PrefillEvent, PromptEvent, TokensEvent,
                           FinishedEvent, ScoreEvent>;

// Where a request's events go. The engine calls it on its own threads, one call at a time
// (Accepted: on the thread that submits), and never waits for it; it must not call the engine back,
// save Wake().
class EventSink {
 public:
  virtual ~EventSink() = default;
  // Takes an event, whether writable() or not.
  virtual void Write(Event event) = 0;
  // The last call: how the request ended.
  virtual void Finish(const absl::Status& status) = 0;
  // Whether the reader keeps up. If not, the engine pauses this request; who makes it true again
  // calls Engine::Wake(). Thread-safe.
  virtual bool writable() const = 0;
  // Whether nobody listens any more; the engine then drops the request. Never reverts. Thread-safe.
  virtual bool cancelled() const = 0;
};

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_ENGINE_REQUEST_H_
