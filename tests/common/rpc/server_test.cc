#include "common/rpc/server.h"

#include <atomic>
#include <chrono>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>

#include "absl/time/clock.h"
#include "common/mutex.h"
#include "common/rpc/channel.h"
#include "common/rpc/grpc_status.h"
#include "common/rpc/unary.h"
#include "common/status_details.h"
#include "gmock/gmock.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "gtest/gtest.h"
#include "llama/v1/gateway_service.grpc.pb.h"

namespace llama {
namespace {

namespace health = grpc::health::v1;
using testing::HasSubstr;

constexpr char kName[] = "llama.v1.GatewayService";

// A call that stays inside until it is released or cancelled.
class HeldCall final : public grpc::ServerUnaryReactor {
 public:
  explicit HeldCall(ServingGate::Pass pass) : pass_(std::move(pass)) {}
  void Release() { FinishOnce(grpc::Status::OK); }
  void OnCancel() override { FinishOnce(grpc::Status::CANCELLED); }
  void OnDone() override { delete this; }

 private:
  void FinishOnce(const grpc::Status& status) {
    if (!finished_.exchange(true)) Finish(status);
  }
  const ServingGate::Pass pass_;
  std::atomic<bool> finished_ = false;
};

// GetInfo with `tensors` is held; otherwise it is answered with `model_name`.
class TestService final : public v1::GatewayService::CallbackService {
 public:
  explicit TestService(ServingGate& gate) : gate_(gate) {}

  grpc::ServerUnaryReactor* GetInfo(grpc::CallbackServerContext* context,
                                    const v1::GetInfoRequest* request,
                                    v1::GetInfoResponse* response) override {
    absl::StatusOr<ServingGate::Pass> pass = gate_.Enter();
    if (!pass.ok()) return FinishUnary(context, pass.status());
    if (!request->tensors()) {
      response->mutable_model()->mutable_model()->set_name(model_name);
      return FinishUnary(*std::move(pass), absl::OkStatus());
    }
    auto* const call = new HeldCall(*std::move(pass));
    held_ = call;
    return call;
  }
  HeldCall* AwaitHeld() {
    while (held_ == nullptr) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return held_;
  }

  std::string model_name;  // Set before the call.

 private:
  ServingGate& gate_;
  std::atomic<HeldCall*> held_ = nullptr;
};

class ServerTest : public testing::Test {
 protected:
  void Start(ServerOptions options = {}) {
    auto server = Server::Start(options, {{kName, &service_}}, gate_);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    channel_ = CreateChannel(server_->address());
    gate_.SetServing();
  }
  health::HealthCheckResponse::ServingStatus Health(const std::string& name) {
    grpc::ClientContext context;
    health::HealthCheckRequest request;
    request.set_service(name);
    health::HealthCheckResponse response;
    const grpc::Status status =
        health::Health::NewStub(channel_)->Check(&context, request, &response);
    return status.ok() ? response.status() : health::HealthCheckResponse::UNKNOWN;
  }
  absl::Status Call(bool held, const std::string& bytes = "") {
    grpc::ClientContext context;
    if (!bytes.empty()) context.AddMetadata("padding", bytes);
    v1::GetInfoRequest request;
    request.set_tensors(held);
    v1::GetInfoResponse response;
    return FromGrpcStatus(
        v1::GatewayService::NewStub(channel_)->GetInfo(&context, request, &response));
  }

  ServingGate gate_;
  TestService service_{gate_};
  std::unique_ptr<Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
};

TEST_F(ServerTest, TheProcessIsHealthyAtOnceAndAServiceWhenItIsReady) {
  Start();
  EXPECT_EQ(Health(""), health::HealthCheckResponse::SERVING);
  EXPECT_EQ(Health(kName), health::HealthCheckResponse::NOT_SERVING);
  server_->SetReady(true);
  EXPECT_EQ(Health(kName), health::HealthCheckResponse::SERVING);
  server_->SetReady(false);
  EXPECT_EQ(Health(kName), health::HealthCheckResponse::NOT_SERVING);
  EXPECT_EQ(Health("no.such.Service"), health::HealthCheckResponse::UNKNOWN);
}

TEST_F(ServerTest, AWatcherHearsOfEveryChange) {
  Start();
  grpc::ClientContext context;
  health::HealthCheckRequest request;
  request.set_service(kName);
  const auto stub = health::Health::NewStub(channel_);
  const auto watch = stub->Watch(&context, request);
  health::HealthCheckResponse response;
  ASSERT_TRUE(watch->Read(&response));
  EXPECT_EQ(response.status(), health::HealthCheckResponse::NOT_SERVING);
  server_->SetReady(true);
  ASSERT_TRUE(watch->Read(&response));
  EXPECT_EQ(response.status(), health::HealthCheckResponse::SERVING);
  std::thread drain([this] { server_->Drain(); });
  ASSERT_TRUE(watch->Read(&response));
  EXPECT_EQ(response.status(), health::HealthCheckResponse::NOT_SERVING);
  drain.join();
}

TEST_F(ServerTest, ATakenPortIsAnErrorThatNamesTheAddress) {
  Start();
  ServingGate gate;
  TestService service(gate);
  const auto second = Server::Start({.listen = server_->address()}, {{kName, &service}}, gate);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(second.status().message(), HasSubstr(server_->address()));
}

TEST_F(ServerTest, AnAddressWithoutPortIsRefused) {
  const auto server = Server::Start({.listen = "localhost"}, {{kName, &service_}}, gate_);
  EXPECT_EQ(server.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(server.status().message(), HasSubstr("--listen: expected HOST:PORT"));
}

TEST_F(ServerTest, APortBeyondTheLastIsRefused) {
  for (const char* listen : {"127.0.0.1:65536", "127.0.0.1:1234567", "127.0.0.1:-1"}) {
    const auto server = Server::Start({.listen = listen}, {{kName, &service_}}, gate_);
    EXPECT_EQ(server.status().code(), absl::StatusCode::kInvalidArgument) << listen;
    EXPECT_THAT(server.status().message(), HasSubstr("--listen: expected a port"));
  }
}

TEST_F(ServerTest, DrainingLetsCallsFinishAndRefusesNewOnes) {
  Start();
  absl::Status held;
  std::thread call([&] { held = Call(true); });
  HeldCall* const inside = service_.AwaitHeld();
  bool all_over = false;
  std::thread drain([&] { all_over = server_->Drain(); });
  while (gate_.Check().ok()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  const absl::Status refused = Call(false);
  EXPECT_EQ(refused.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(GetDetail<google::rpc::ErrorInfo>(refused)->reason(), "DRAINING");
  inside->Release();
  call.join();
  drain.join();
  EXPECT_TRUE(held.ok()) << held;
  EXPECT_TRUE(all_over);
}

// Of its answer only as much is on the way as the client's HTTP/2 window takes.
TEST_F(ServerTest, DrainingWaitsUntilAClientThatReadsLateHasItsAnswer) {
  service_.model_name = std::string(1 << 20, 'x');
  Start();
  grpc::ChannelArguments window;
  window.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);  // Which would make it grow.
  const auto stub = v1::GatewayService::NewStub(
      grpc::CreateCustomChannel(server_->address(), grpc::InsecureChannelCredentials(), window));
  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  const auto await_event = [&queue] {
    void* tag = nullptr;
    bool ok = false;
    return queue.Next(&tag, &ok) && ok;
  };
  const auto call = stub->AsyncGetInfo(&context, {}, &queue);
  call->ReadInitialMetadata(nullptr);
  ASSERT_TRUE(await_event());  // Which is sent with the answer: its handler has returned.
  bool all_over = false;
  std::thread drain([&] { all_over = server_->Drain(); });
  while (gate_.Check().ok()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_FALSE(gate_.WaitUntilEmpty(absl::Now() + absl::Milliseconds(200)));
  v1::GetInfoResponse response;
  grpc::Status status;
  call->Finish(&response, &status, nullptr);
  EXPECT_TRUE(await_event());
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_TRUE(response.model().model().name() == service_.model_name);  // Too long to print.
  drain.join();
  EXPECT_TRUE(all_over);
}

TEST_F(ServerTest, ACallThatOutlivesTheDrainTimeoutIsCancelled) {
  Start({.drain_timeout = absl::Milliseconds(50)});
  absl::Status held;
  std::thread call([&] { held = Call(true); });
  service_.AwaitHeld();
  EXPECT_FALSE(server_->Drain());
  call.join();
  EXPECT_FALSE(held.ok());
  EXPECT_EQ(gate_.calls(), 0);
}

TEST_F(ServerTest, ATooLongMessageIsRefusedAndTheConnectionLives) {
  Start();
  grpc::ClientContext context;
  v1::GenerateRequest request;
  request.mutable_prompt()->set_text(std::string((4 << 20) + 1, 'x'));
  const auto stub = v1::GatewayService::NewStub(channel_);
  const auto stream = stub->Generate(&context, request);
  v1::GenerateResponse response;
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_TRUE(Call(false).ok());
}

TEST_F(ServerTest, TooMuchMetadataIsRefusedAndHarmsNoOtherConnection) {
  Start();
  const std::shared_ptr<grpc::Channel> other = CreateChannel(server_->address());
  EXPECT_EQ(Call(false, std::string(4 << 10, 'x')), absl::OkStatus());
  EXPECT_FALSE(Call(false, std::string(64 << 10, 'x')).ok());
  channel_ = other;
  EXPECT_EQ(Call(false), absl::OkStatus());
}

TEST_F(ServerTest, AClientConnectsAgainAfterAWhileAndItsCallsGoOn) {
  Mutex mutex;
  std::set<std::string> peers;
  ServerOptions options;
  options.max_connection_age = absl::Milliseconds(200);
  options.call_observers.push_back([&](const CallRecord& record) {
    MutexLock lock(&mutex);
    if (!record.is_probe) peers.insert(record.peer);
  });
  Start(options);
  absl::Status held;
  std::thread call([&] { held = Call(true); });
  HeldCall* const inside = service_.AwaitHeld();
  for (size_t seen = 0; seen < 3;) {  // The test's timeout is the limit.
    EXPECT_EQ(Call(false), absl::OkStatus());
    MutexLock lock(&mutex);
    seen = peers.size();
  }
  inside->Release();
  call.join();
  EXPECT_TRUE(held.ok()) << held;
  server_.reset();  // Before what its observer uses.
}

TEST_F(ServerTest, AChannelFindsItsServerAgainAfterARestart) {
  Start();
  const std::string address = server_->address();
  EXPECT_TRUE(Call(false).ok());
  server_.reset();
  EXPECT_EQ(Call(false).code(), absl::StatusCode::kUnavailable);
  ServingGate gate;
  gate.SetServing();
  TestService service(gate);
  const auto again = Server::Start({.listen = address}, {{kName, &service}}, gate);
  ASSERT_TRUE(again.ok()) << again.status();
  // The channel's own backoff decides when; the test's timeout is the limit.
  while (!Call(false).ok()) std::this_thread::sleep_for(std::chrono::milliseconds(20));
}

}  // namespace
}  // namespace llama
