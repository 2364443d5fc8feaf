#include "services/gateway/backend_monitor.h"

#include <utility>

#include "absl/time/clock.h"
#include "common/status_macros.h"
#include "services/gateway/backend_status.h"
#include "services/gateway/probe_context.h"

namespace llama {
namespace {

constexpr absl::Duration kInterval = absl::Seconds(1);
constexpr absl::Duration kIntervalWhileDown = absl::Milliseconds(100);
constexpr int64_t kPageSize = 10'000;

absl::StatusOr<std::vector<v1::VocabularyEntry>> ReadVocabulary(v1::TokenizerService::Stub& stub,
                                                                int64_t size) {
  std::vector<v1::VocabularyEntry> vocabulary;
  v1::ListTokensRequest request;
  request.set_page_size(kPageSize);
  do {
    grpc::ClientContext context;
    SetUpProbe(context);
    v1::ListTokensResponse page;
    if (const grpc::Status status = stub.ListTokens(&context, request, &page); !status.ok()) {
      return ProbeFailed("tokenizer", status);
    }
    for (v1::VocabularyEntry& entry : *page.mutable_entries())
      vocabulary.push_back(std::move(entry));
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty() && static_cast<int64_t>(vocabulary.size()) < size);
  if (static_cast<int64_t>(vocabulary.size()) != size) {
    return BackendFailed("tokenizer", grpc::Status(grpc::StatusCode::UNAVAILABLE,
                                                   "its vocabulary changed while it was read"));
  }
  return vocabulary;
}

}  // namespace

BackendMonitor::BackendMonitor(v1::TokenizerService::Stub& tokenizer, ModelReplicas& models,
                               ServingGate& gate, std::function<void(bool)> on_change)
    : tokenizer_(tokenizer), models_(models), gate_(gate), on_change_(std::move(on_change)) {
  thread_ = std::thread([this] { Run(); });
}

BackendMonitor::~BackendMonitor() {
  {
    MutexLock lock(&mutex_);
    stop_ = true;
  }
  thread_.join();
}

std::shared_ptr<const Backends> BackendMonitor::backends() const {
  MutexLock lock(&mutex_);
  return backends_;
}

void BackendMonitor::Run() {
  for (bool stop = false; !stop;) {
    absl::StatusOr<std::shared_ptr<const Backends>> found = Look();
    const absl::Status status = found.status();
    const bool ready = status.ok();
    if (ready) {
      MutexLock lock(&mutex_);
      backends_ = *std::move(found);
    }
    gate_.SetUnavailable(status);
    on_change_(ready);
    MutexLock lock(&mutex_);
    stop = mutex_.AwaitUntil([this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return stop_; },
                             absl::Now() + (ready ? kInterval : kIntervalWhileDown));
  }
}

absl::StatusOr<std::shared_ptr<const Backends>> BackendMonitor::Look() const {
  auto now = std::make_shared<Backends>();
  grpc::ClientContext tokenizer_context;
  SetUpProbe(tokenizer_context);
  if (const grpc::Status status =
          tokenizer_.GetTokenizerInfo(&tokenizer_context, {}, &now->tokenizer);
      !status.ok()) {
    return ProbeFailed("tokenizer", status);
  }
  ASSIGN_OR_RETURN(now->places, models_.Look(now->tokenizer.vocabulary_size()));
  const std::shared_ptr<const Backends> last = backends();
  if (last != nullptr && last->tokenizer.digest() == now->tokenizer.digest()) {
    now->vocabulary = last->vocabulary;
  } else {
    ASSIGN_OR_RETURN(std::vector<v1::VocabularyEntry> vocabulary,
                     ReadVocabulary(tokenizer_, now->tokenizer.vocabulary_size()));
    now->vocabulary =
        std::make_shared<const std::vector<v1::VocabularyEntry>>(std::move(vocabulary));
  }
  return now;
}

}  // namespace llama
