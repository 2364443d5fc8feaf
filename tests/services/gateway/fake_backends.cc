#include "tests/services/gateway/fake_backends.h"

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/proto_duration.h"

namespace llama {
namespace {

constexpr char kReplacement[] = "\xEF\xBF\xBD";

}  // namespace

std::string FakePiece(uint32_t id) {
  static const auto& pieces = *new std::vector<std::string>{"",
                                                            "",
                                                            "",
                                                            " Hello",
                                                            " world",
                                                            "!",
                                                            "ST",
                                                            "OP",
                                                            "\xF0",
                                                            "\x9F",
                                                            "\x98",
                                                            "\x80",
                                                            std::string(4096, 'x')};
  return pieces[id];
}

void FakeTokenizer::FailEncode(grpc::Status status) {
  MutexLock lock(&mutex_);
  encode_ = std::move(status);
}

void FakeTokenizer::FailInfo(grpc::Status status) {
  MutexLock lock(&mutex_);
  info_ = std::move(status);
}

int64_t FakeTokenizer::decoded() const {
  MutexLock lock(&mutex_);
  return decoded_;
}

v1::EncodeRequest FakeTokenizer::last_encode() const {
  MutexLock lock(&mutex_);
  return last_encode_;
}

bool FakeTokenizer::kept_leading_space() const {
  MutexLock lock(&mutex_);
  return kept_leading_space_;
}

grpc::Status FakeTokenizer::Encode(grpc::ServerContext*, const v1::EncodeRequest* request,
                                   v1::EncodeResponse* response) {
  MutexLock lock(&mutex_);
  last_encode_ = *request;
  if (!encode_.ok()) return encode_;
  response->add_ids(kBos);
  response->add_ids(kHello);
  response->add_eos_token_ids(kEos);
  response->set_rendered_prompt("rendered");
  return grpc::Status::OK;
}

// Bytes from kF0 on wait until there are four of them; what is left at the end is replaced.
grpc::Status FakeTokenizer::DecodeStream(
    grpc::ServerContext*,
    grpc::ServerReaderWriter<v1::DecodeStreamResponse, v1::DecodeStreamRequest>* stream) {
  std::string held;
  bool first = true;
  v1::DecodeStreamRequest request;
  while (stream->Read(&request)) {
    v1::DecodeStreamResponse response;
    for (const uint32_t id : request.ids()) {
      if (id >= kF0 && id <= k80) {
        held += FakePiece(id);
        if (held.size() == 4) response.mutable_text()->append(std::exchange(held, ""));
      } else {
        response.mutable_text()->append(FakePiece(id));
      }
      v1::Token& token = *response.add_tokens();
      token.set_id(id);
      token.set_piece(FakePiece(id));
    }
    response.set_held(held);
    {
      MutexLock lock(&mutex_);
      if (first) kept_leading_space_ = request.keep_leading_space();
      decoded_ += request.ids_size();
    }
    first = false;
    if (!stream->Write(response)) return grpc::Status::CANCELLED;
  }
  v1::DecodeStreamResponse last;
  for (size_t i = 0; i < held.size(); ++i) last.mutable_text()->append(kReplacement);
  stream->Write(last);
  return grpc::Status::OK;
}

grpc::Status FakeTokenizer::GetTokenizerInfo(grpc::ServerContext*,
                                             const v1::GetTokenizerInfoRequest*,
                                             v1::GetTokenizerInfoResponse* response) {
  MutexLock lock(&mutex_);
  response->set_vocabulary_size(kVocabularySize);
  response->set_digest("tokenizer digest");
  response->set_max_prompt_bytes(kMaxPromptBytes);
  return info_;
}

grpc::Status FakeTokenizer::ListTokens(grpc::ServerContext*, const v1::ListTokensRequest* request,
                                       v1::ListTokensResponse* response) {
  // Two pages.
  uint32_t from = 0, to = kSt;
  if (!request->page_token().empty()) from = kSt, to = kVocabularySize;
  for (uint32_t id = from; id < to; ++id) {
    v1::VocabularyEntry& entry = *response->add_entries();
    entry.set_id(id);
    entry.set_piece(FakePiece(id));
    entry.set_spelling(absl::StrCat("spelling ", id));
  }
  if (to < kVocabularySize) response->set_next_page_token("second");
  return grpc::Status::OK;
}

void FakeModel::SetScript(Script script) {
  MutexLock lock(&mutex_);
  script_ = std::move(script);
}

void FakeModel::FailInfo(grpc::Status status) {
  MutexLock lock(&mutex_);
  info_ = std::move(status);
}

void FakeModel::SetVocabularySize(int64_t size) {
  MutexLock lock(&mutex_);
  vocabulary_size_ = size;
}

void FakeModel::SetDigest(std::string digest) {
  MutexLock lock(&mutex_);
  digest_ = std::move(digest);
}

void FakeModel::SetPlaces(int64_t max_running, int64_t max_waiting) {
  MutexLock lock(&mutex_);
  max_running_ = max_running;
  max_waiting_ = max_waiting;
}

void FakeModel::SetWaitWhenFull(absl::Duration wait) {
  MutexLock lock(&mutex_);
  SetDuration(wait, *load_.mutable_wait_when_full());
}

void FakeModel::FailLoad(grpc::Status status) {
  MutexLock lock(&mutex_);
  load_status_ = std::move(status);
}

int64_t FakeModel::begun() const {
  MutexLock lock(&mutex_);
  return begun_;
}

v1::ModelServiceGenerateRequest FakeModel::last_request() const {
  MutexLock lock(&mutex_);
  return last_request_;
}

bool FakeModel::AwaitBegun(int64_t calls) {
  MutexLock lock(&mutex_);
  return mutex_.AwaitUntil([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return begun_ >= calls; },
                           absl::Now() + absl::Seconds(20));
}

bool FakeModel::AwaitOver(int64_t calls) {
  MutexLock lock(&mutex_);
  return mutex_.AwaitUntil([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return over_ >= calls; },
                           absl::Now() + absl::Seconds(20));
}

grpc::Status FakeModel::Generate(grpc::ServerContext* context,
                                 const v1::ModelServiceGenerateRequest* request, Writer* writer) {
  Script script;
  {
    MutexLock lock(&mutex_);
    last_request_ = *request;
    script = script_;
    ++begun_;
  }
  const grpc::Status status = script(*context, *writer);
  MutexLock lock(&mutex_);
  ++over_;
  return status;
}

grpc::Status FakeModel::GetModelInfo(grpc::ServerContext*, const v1::GetModelInfoRequest* request,
                                     v1::GetModelInfoResponse* response) {
  MutexLock lock(&mutex_);
  response->mutable_model()->set_name("fake");
  response->mutable_model()->set_digest(digest_);
  response->mutable_dimensions()->set_vocab_size(vocabulary_size_);
  response->set_max_running(max_running_);
  response->set_max_waiting(max_waiting_);
  if (request->tensors()) response->add_tensors()->set_name("norm.weight");
  return info_;
}

grpc::Status FakeModel::GetLoad(grpc::ServerContext*, const v1::GetLoadRequest*,
                                v1::GetLoadResponse* response) {
  MutexLock lock(&mutex_);
  *response = load_;
  return load_status_;
}

grpc::Status FakeModel::GetComputePlan(grpc::ServerContext*, const v1::GetComputePlanRequest*,
                                       v1::GetComputePlanResponse* response) {
  response->set_threads(3);
  return grpc::Status::OK;
}

void WriteAccepted(FakeModel::Writer& writer) {
  v1::ModelServiceGenerateResponse response;
  response.mutable_accepted()->set_prompt_tokens(2);
  response.mutable_accepted()->mutable_model()->set_name("fake");
  writer.Write(response);
}

void WriteTokens(FakeModel::Writer& writer, std::initializer_list<uint32_t> ids) {
  v1::ModelServiceGenerateResponse response;
  for (const uint32_t id : ids) response.mutable_tokens()->add_tokens()->set_id(id);
  writer.Write(response);
}

void WriteFinished(FakeModel::Writer& writer, v1::FinishReason reason) {
  v1::ModelServiceGenerateResponse response;
  response.mutable_finished()->set_reason(reason);
  if (reason == v1::FINISH_REASON_EOS) response.mutable_finished()->set_stop_token_id(kEos);
  response.mutable_finished()->mutable_usage()->set_completion_tokens(77);
  response.mutable_finished()->mutable_timings()->mutable_prefill()->set_nanos(5);
  writer.Write(response);
}

grpc::Status AwaitCancelled(grpc::ServerContext& context) {
  while (!context.IsCancelled()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return grpc::Status::CANCELLED;
}

FakeModel::Script Replies(std::vector<std::vector<uint32_t>> messages) {
  return [messages = std::move(messages)](grpc::ServerContext&, FakeModel::Writer& writer) {
    WriteAccepted(writer);
    for (const std::vector<uint32_t>& ids : messages) {
      v1::ModelServiceGenerateResponse response;
      for (const uint32_t id : ids) response.mutable_tokens()->add_tokens()->set_id(id);
      writer.Write(response);
    }
    WriteFinished(writer, v1::FINISH_REASON_EOS);
    return grpc::Status::OK;
  };
}

void FakeServer::Start() {
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort(address_, grpc::InsecureServerCredentials(), &port);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.RegisterService(&service_);
  server_ = builder.BuildAndStart();
  if (server_ != nullptr) address_ = absl::StrCat("127.0.0.1:", port);
}

void FakeServer::Kill() {
  if (server_ == nullptr) return;
  server_->Shutdown(std::chrono::system_clock::now());
  server_->Wait();
  server_ = nullptr;
}

}  // namespace llama
