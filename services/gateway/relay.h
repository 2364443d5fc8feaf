#ifndef LLAMA_SERVICES_GATEWAY_RELAY_H_
#define LLAMA_SERVICES_GATEWAY_RELAY_H_

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/rpc/call_notes.h"
#include "common/rpc/server_stream.h"
#include "llama/v1/gateway_service.grpc.pb.h"
#include "llama/v1/model_service.grpc.pb.h"
#include "llama/v1/tokenizer_service.grpc.pb.h"
#include "services/gateway/backend_monitor.h"
#include "services/gateway/call_admission.h"
#include "services/gateway/model_replicas.h"
#include "services/gateway/stop_matcher.h"
#include "services/gateway/stub_pool.h"

namespace llama {

// One Generate call on its way: when its turn has come, Encode, then the model's stream, whose
// tokens go through DecodeStream and the stop sequences to the client. A replica of the model that
// is away before its first message is replaced by another one, once.
//
// One thing happens after the other: each reaction of gRPC starts the next operation, so that all
// but the atomic members belong to whoever runs the current reaction, and no lock is needed. Only
// the client's side comes in between: it cancels, which makes the operation under way fail, or it
// reads again, which resumes a relay that waits for it. A relay lives until both
// backends' calls are over, and keeps its client's stream.
class Relay final : public std::enable_shared_from_this<Relay> {
 public:
  using Stream = ServerStream<v1::GenerateResponse>;

  // Must outlive the relay.
  struct Pools {
    StubPool<v1::TokenizerService>& tokenizers;
    ModelReplicas& models;
  };

  // `place` is the client's stream's. `caller`: on whose behalf, for the model's fair shares.
  // `notes`: of the client's call.
  Relay(Pools pools, CallAdmission::Place& place, const v1::GenerateRequest& request,
        std::shared_ptr<const Backends> backends, std::chrono::system_clock::time_point deadline,
        const std::string& caller, std::shared_ptr<CallNotes> notes);

  // Begins to write to `client`, and finishes it once, whatever happens.
  void Start(std::shared_ptr<Stream> client);
  // The client's stream has become writable or cancelled. On any thread.
  void OnClientChange();

 private:
  // gRPC's ends of the two streams. Each keeps the relay alive until its call is over.
  class ModelCall final : public grpc::ClientReadReactor<v1::ModelServiceGenerateResponse> {
   public:
    std::shared_ptr<Relay> relay;
    grpc::ClientContext context;
    std::unique_ptr<ModelReplicas::Lease> replica;

   private:
    void OnReadDone(bool ok) override { relay->OnModelRead(ok); }
    void OnDone(const grpc::Status& status) override {
      const std::shared_ptr<Relay> last = std::move(relay);
      last->OnModelDone(status);
    }
  };
  class DecodeCall final
      : public grpc::ClientBidiReactor<v1::DecodeStreamRequest, v1::DecodeStreamResponse> {
   public:
    std::shared_ptr<Relay> relay;

   private:
    void OnWriteDone(bool ok) override { relay->OnDecodeWritten(ok); }
    void OnWritesDoneDone(bool ok) override { relay->OnDecodeWritten(ok); }
    void OnReadDone(bool ok) override { relay->OnDecoded(ok); }
    void OnDone(const grpc::Status& status) override {
      const std::shared_ptr<Relay> last = std::move(relay);
      last->OnDecodeDone(status);
    }
  };

  // The attempt under way, or that is next.
  ModelCall& model() { return models_[attempt_]; }
  std::array<grpc::ClientContext*, 4> Contexts();
  void Encode();
  void OnEncoded(const grpc::Status& status);
  void StartModel(std::unique_ptr<ModelReplicas::Lease> replica);
  bool TryAnotherReplica(const grpc::Status& status);
  void StartDecoder();
  void ReadModel();
  void ResumeIfParked();
  void OnModelRead(bool ok);
  void OnModelDone(const grpc::Status& status);
  void DecodeNext();
  void OnDecodeWritten(bool ok);
  void OnDecoded(bool ok);
  void OnDecodeDone(const grpc::Status& status);
  void Deliver(StopMatcher::Output output, const std::string& held);
  void WriteDelta();
  void DeliverEnd();
  void FinishAtStop(const std::string& stop);
  void FillToken(v1::Token& token) const;
  void Write(v1::GenerateResponse response);
  void End(const absl::Status& status);

  // Before all others, so that it is destroyed after them: with it ends the call's pass at the
  // gate, and what the others use may be gone once the gate is empty.
  std::shared_ptr<Stream> client_;
  const Pools pools_;
  CallAdmission::Place& place_;
  const v1::GenerateRequest request_;
  const std::shared_ptr<const Backends> backends_;
  const absl::Time received_ = absl::Now();
  const std::chrono::system_clock::time_point deadline_;
  const std::shared_ptr<CallNotes> notes_;
  int64_t sequence_ = 0;

  // From its turn on, so that calls that wait for theirs take no connections.
  std::shared_ptr<v1::TokenizerService::Stub> tokenizer_stub_;
  grpc::ClientContext encode_context_, decode_context_;
  v1::EncodeRequest encode_request_;
  v1::EncodeResponse encoded_;
  v1::ModelServiceGenerateRequest model_request_;
  v1::ModelServiceGenerateResponse from_model_;
  v1::DecodeStreamRequest to_decode_;
  v1::DecodeStreamResponse decoded_;
  std::array<ModelCall, 2> models_;  // One after the other.
  size_t attempt_ = 0;
  DecodeCall decode_;
  bool taken_ = false;     // By the model.
  bool decoding_ = false;  // DecodeStream has begun.
  bool ended_ = false;

  StopMatcher matcher_;
  std::deque<v1::Token> undecoded_;   // From the model, not yet sent to the decoder.
  std::deque<v1::Token> unreported_;  // Decoded, held back by the matcher.
  v1::Delta delta_;                   // Not yet written.
  int64_t tokens_ = 0;                // Decoded.
  int64_t prompt_tokens_ = 0;
  bool half_closed_ = false;
  std::optional<v1::ModelFinished> finished_;
  absl::Time model_started_;  // The last attempt.
  absl::Time first_token_ = absl::InfiniteFuture();
  absl::Time last_token_ = absl::InfiniteFuture();

  std::atomic<bool> parked_ = false;     // Waits for the client to read.
  std::atomic<bool> cancelled_ = false;  // By the client.
};

}  // namespace llama

#endif  // LLAMA_SERVICES_GATEWAY_RELAY_H_
