#include "services/gateway/backend_monitor.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/rpc/call_context.h"
#include "common/status_details.h"
#include "common/status_macros.h"
#include "services/gateway/backend_status.h"

namespace llama {
namespace {

constexpr absl::Duration kInterval = absl::Seconds(1);
constexpr absl::Duration kIntervalWhileDown = absl::Milliseconds(100);
constexpr absl::Duration kTimeout = absl::Milliseconds(1500);
constexpr int64_t kPageSize = 10'000;

void SetUp(grpc::ClientContext& context) {
  context.set_deadline(absl::ToChronoTime(absl::Now() + kTimeout));
  context.AddMetadata(kProbeMetadata, "1");
}

// A backend that does not answer in time is as good as not there.
absl::Status Failure(absl::string_view backend, const grpc::Status& status) {
  if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
    return BackendFailed(backend, grpc::Status(grpc::StatusCode::UNAVAILABLE, "no answer in time"));
  }
  return BackendFailed(backend, status);
}

absl::StatusOr<std::vector<v1::VocabularyEntry>> ReadVocabulary(v1::TokenizerService::Stub& stub,
                                                                int64_t size) {
  std::vector<v1::VocabularyEntry> vocabulary;
  v1::ListTokensRequest request;
  request.set_page_size(kPageSize);
  do {
    grpc::ClientContext context;
    SetUp(context);
    v1::ListTokensResponse page;
    if (const grpc::Status status = stub.ListTokens(&context, request, &page); !status.ok()) {
      return Failure("tokenizer", status);
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

absl::Status CheckFit(const Backends& backends) {
  const int64_t tokenizer = backends.tokenizer.vocabulary_size();
  const int64_t model = backends.model.dimensions().vocab_size();
  if (tokenizer == model) return absl::OkStatus();
  return MakeStatus(absl::StatusCode::kFailedPrecondition, "TOKENIZER_MISMATCH",
                    absl::StrCat("the tokenizer has ", tokenizer, " tokens, the model ", model,
                                 ": they do not belong together"),
                    {{"tokenizer_vocabulary_size", absl::StrCat(tokenizer)},
                     {"model_vocabulary_size", absl::StrCat(model)}});
}

}  // namespace

BackendMonitor::BackendMonitor(v1::TokenizerService::Stub& tokenizer, v1::ModelService::Stub& model,
                               ServingGate& gate, std::function<void(bool)> on_change)
    : tokenizer_(tokenizer), model_(model), gate_(gate), on_change_(std::move(on_change)) {
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
    const bool ready = found.ok();
    if (ready) {
      MutexLock lock(&mutex_);
      backends_ = *std::move(found);
    }
    gate_.SetUnavailable(ready ? absl::OkStatus() : found.status());
    on_change_(ready);
    MutexLock lock(&mutex_);
    stop = mutex_.AwaitUntil([this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return stop_; },
                             absl::Now() + (ready ? kInterval : kIntervalWhileDown));
  }
}

absl::StatusOr<std::shared_ptr<const Backends>> BackendMonitor::Look() const {
  auto now = std::make_shared<Backends>();
  grpc::ClientContext tokenizer_context;
  SetUp(tokenizer_context);
  if (const grpc::Status status =
          tokenizer_.GetTokenizerInfo(&tokenizer_context, {}, &now->tokenizer);
      !status.ok()) {
    return Failure("tokenizer", status);
  }
  grpc::ClientContext model_context;
  SetUp(model_context);
  if (const grpc::Status status = model_.GetModelInfo(&model_context, {}, &now->model);
      !status.ok()) {
    return Failure("model", status);
  }
  RETURN_IF_ERROR(CheckFit(*now));
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
