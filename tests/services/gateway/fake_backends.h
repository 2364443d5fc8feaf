#ifndef LLAMA_TESTS_SERVICES_GATEWAY_FAKE_BACKENDS_H_
#define LLAMA_TESTS_SERVICES_GATEWAY_FAKE_BACKENDS_H_

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "common/mutex.h"
#include "grpcpp/grpcpp.h"
#include "llama/v1/model_service.grpc.pb.h"
#include "llama/v1/tokenizer_service.grpc.pb.h"

// A scripted tokenizer and a scripted model over TCP, which can be killed and come back.
namespace llama {

// The vocabulary: the words that tests use, then the bytes of U+1F600 one by one.
enum FakeToken : uint32_t {
  kUnknown,
  kBos,
  kEos,
  kHello,  // " Hello"
  kWorld,  // " world"
  kMark,   // "!"
  kSt,     // "ST"
  kOp,     // "OP"
  kF0,
  k9F,
  k98,
  k80,
  kLong,  // 4096 letters.
  kVocabularySize,
};
std::string FakePiece(uint32_t id);
inline constexpr int64_t kMaxPromptBytes = 1000;  // Of the fake tokenizer.

class FakeTokenizer final : public v1::TokenizerService::Service {
 public:
  // What Encode answers before it does anything.
  void FailEncode(grpc::Status status);
  // What the rpcs that the gateway looks after its backends by answer.
  void FailInfo(grpc::Status status);
  // Tokens decoded in streams so far.
  int64_t decoded() const;
  v1::EncodeRequest last_encode() const;
  bool kept_leading_space() const;  // In the last stream.

  grpc::Status Encode(grpc::ServerContext* context, const v1::EncodeRequest* request,
                      v1::EncodeResponse* response) override;
  grpc::Status DecodeStream(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<v1::DecodeStreamResponse, v1::DecodeStreamRequest>* stream) override;
  grpc::Status GetTokenizerInfo(grpc::ServerContext* context,
                                const v1::GetTokenizerInfoRequest* request,
                                v1::GetTokenizerInfoResponse* response) override;
  grpc::Status ListTokens(grpc::ServerContext* context, const v1::ListTokensRequest* request,
                          v1::ListTokensResponse* response) override;

 private:
  mutable Mutex mutex_;
  grpc::Status encode_ ABSL_GUARDED_BY(mutex_);
  grpc::Status info_ ABSL_GUARDED_BY(mutex_);
  v1::EncodeRequest last_encode_ ABSL_GUARDED_BY(mutex_);
  int64_t decoded_ ABSL_GUARDED_BY(mutex_) = 0;
  bool kept_leading_space_ ABSL_GUARDED_BY(mutex_) = false;
};

class FakeModel final : public v1::ModelService::Service {
 public:
  using Writer = grpc::ServerWriter<v1::ModelServiceGenerateResponse>;
  // What Generate does.
  using Script = std::function<grpc::Status(grpc::ServerContext& context, Writer& writer)>;

  void SetScript(Script script);
  void FailInfo(grpc::Status status);
  void SetVocabularySize(int64_t size);
  void SetDigest(std::string digest);
  void SetPlaces(int64_t max_running, int64_t max_waiting);
  // What GetLoad answers.
  void SetWaitWhenFull(absl::Duration wait);
  void FailLoad(grpc::Status status);
  v1::ModelServiceGenerateRequest last_request() const;
  int64_t begun() const;  // Generate calls so far.
  // Whether this many of them have begun, or ended, before long.
  bool AwaitBegun(int64_t calls);
  bool AwaitOver(int64_t calls);

  grpc::Status Generate(grpc::ServerContext* context,
                        const v1::ModelServiceGenerateRequest* request, Writer* writer) override;
  grpc::Status GetModelInfo(grpc::ServerContext* context, const v1::GetModelInfoRequest* request,
                            v1::GetModelInfoResponse* response) override;
  grpc::Status GetLoad(grpc::ServerContext* context, const v1::GetLoadRequest* request,
                       v1::GetLoadResponse* response) override;
  grpc::Status GetComputePlan(grpc::ServerContext* context,
                              const v1::GetComputePlanRequest* request,
                              v1::GetComputePlanResponse* response) override;

 private:
  mutable Mutex mutex_;
  Script script_ ABSL_GUARDED_BY(mutex_);
  grpc::Status info_ ABSL_GUARDED_BY(mutex_);
  int64_t vocabulary_size_ ABSL_GUARDED_BY(mutex_) = kVocabularySize;
  std::string digest_ ABSL_GUARDED_BY(mutex_);
  int64_t max_running_ ABSL_GUARDED_BY(mutex_) = 100;
  int64_t max_waiting_ ABSL_GUARDED_BY(mutex_) = 1000;
  v1::GetLoadResponse load_ ABSL_GUARDED_BY(mutex_);
  grpc::Status load_status_ ABSL_GUARDED_BY(mutex_);
  v1::ModelServiceGenerateRequest last_request_ ABSL_GUARDED_BY(mutex_);
  int64_t begun_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t over_ ABSL_GUARDED_BY(mutex_) = 0;
};

// Steps of scripts.
void WriteAccepted(FakeModel::Writer& writer);
void WriteTokens(FakeModel::Writer& writer, std::initializer_list<uint32_t> ids);
void WriteFinished(FakeModel::Writer& writer, v1::FinishReason reason);
// Polls until the caller has left.
grpc::Status AwaitCancelled(grpc::ServerContext& context);
// Accepted, each list of ids as one message, Finished with EOS.
FakeModel::Script Replies(std::vector<std::vector<uint32_t>> messages);

// A server of one service that keeps its address over deaths.
class FakeServer {
 public:
  explicit FakeServer(grpc::Service& service) : service_(service) { Start(); }
  ~FakeServer() { Kill(); }

  void Start();
  // Drops every call and shuts the port.
  void Kill();
  const std::string& address() const { return address_; }

 private:
  grpc::Service& service_;
  std::string address_ = "127.0.0.1:0";
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace llama

#endif  // LLAMA_TESTS_SERVICES_GATEWAY_FAKE_BACKENDS_H_
