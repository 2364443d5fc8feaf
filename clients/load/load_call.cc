#include "clients/load/load_call.h"

#include <utility>

#include "absl/time/clock.h"
#include "common/rpc/grpc_status.h"

namespace llama {
namespace {

class LoadCall final : public grpc::ClientReadReactor<v1::GenerateResponse> {
 public:
  LoadCall(v1::GatewayService::Stub& stub, const PlannedRequest& planned, absl::Duration deadline,
           absl::Time due, std::function<void(CallResult)> done)
      : planned_(planned), due_(due), done_(std::move(done)) {
    result_.kind = planned.kind;
    if (deadline != absl::InfiniteDuration()) {
      context_.set_deadline(absl::ToChronoTime(due + deadline));
    }
    stub.async()->Generate(&context_, &planned_.request, this);
  }
  void Start() {
    StartRead(&response_);
    StartCall();
  }

 private:
  void OnReadDone(bool ok) override {
    if (!ok) return;
    Take(response_);
    CancelIfPlanned();
    StartRead(&response_);
  }
  void OnDone(const grpc::Status& status) override {
    result_.status = FromGrpcStatus(status);
    result_.total = absl::Now() - due_;
    CallResult result = std::move(result_);
    const std::function<void(CallResult)> done = std::move(done_);
    // First: whoever is told may end the program, and the call must not outlive its channel.
    delete this;
    done(std::move(result));
  }

  void Take(const v1::GenerateResponse& response) {
    accepted_ = accepted_ || response.has_accepted();
    if (response.has_accepted()) {
      result_.prompt_tokens = response.accepted().accepted().prompt_tokens();
    }
    if (response.has_finished()) {
      result_.finished = true;
      result_.cached_prompt_tokens = response.finished().usage().cached_prompt_tokens();
    }
    const int count = response.delta().tokens_size();
    if (count == 0) return;
    const absl::Time now = absl::Now();
    if (!result_.first_token.has_value()) {
      result_.first_token = now - due_;
    } else {
      result_.gaps.insert(result_.gaps.end(), static_cast<size_t>(count),
                          (now - last_message_) / count);
    }
    last_message_ = now;
    for (const v1::Token& token : response.delta().tokens()) result_.ids.push_back(token.id());
  }
  void CancelIfPlanned() {
    if (!accepted_ || result_.cancelled || !planned_.cancel_after.has_value() ||
        static_cast<int64_t>(result_.ids.size()) < *planned_.cancel_after) {
      return;
    }
    result_.cancelled = true;
    context_.TryCancel();
  }

  const PlannedRequest planned_;
  const absl::Time due_;
  std::function<void(CallResult)> done_;
  grpc::ClientContext context_;
  v1::GenerateResponse response_;
  CallResult result_;
  absl::Time last_message_;
  bool accepted_ = false;
};

}  // namespace

void StartCall(v1::GatewayService::Stub& stub, const PlannedRequest& planned,
               absl::Duration deadline, absl::Time due, std::function<void(CallResult)> done) {
  (new LoadCall(stub, planned, deadline, due, std::move(done)))->Start();
}

}  // namespace llama
