#include "common/rpc/call_watch.h"

#include <atomic>
#include <chrono>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/mutex.h"
#include "common/rpc/call_context.h"
#include "common/rpc/channel.h"
#include "common/rpc/grpc_status.h"
#include "common/rpc/server.h"
#include "common/rpc/unary.h"
#include "common/status_details.h"
#include "gmock/gmock.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpcpp/impl/codegen/client_unary_call.h"
#include "gtest/gtest.h"
#include "llama/v1/gateway_service.grpc.pb.h"

namespace llama {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::Field;
using testing::Ne;
using testing::StartsWith;
using testing::UnorderedElementsAre;

constexpr char kGetInfo[] = "llama.v1.GatewayService/GetInfo";

// A call that ends when it is cancelled.
class HeldCall final : public grpc::ServerUnaryReactor {
  void OnCancel() override { Finish(grpc::Status::CANCELLED); }
  void OnDone() override { delete this; }
};

// GetInfo with `tensors` is held; otherwise it ends with `answer` and notes some tokens.
class TestService final : public v1::GatewayService::CallbackService {
 public:
  grpc::ServerUnaryReactor* GetInfo(grpc::CallbackServerContext* context,
                                    const v1::GetInfoRequest* request,
                                    v1::GetInfoResponse*) override {
    {
      MutexLock lock(&mutex_);
      caller_ = CallerOf(*context);
      request_id_ = NotesOf(*context)->request_id();
    }
    if (request->tensors()) {
      ++held;
      return new HeldCall();
    }
    NotesOf(*context)->SetPromptTokens(3);
    NotesOf(*context)->AddCompletionTokens(4);
    NotesOf(*context)->AddCompletionTokens(5);
    return FinishUnary(context, answer);
  }
  std::string caller() const {
    MutexLock lock(&mutex_);
    return caller_;
  }
  std::string request_id() const {
    MutexLock lock(&mutex_);
    return request_id_;
  }

  absl::Status answer;  // Set before the call.
  std::atomic<int> held = 0;

 private:
  mutable Mutex mutex_;
  std::string caller_ ABSL_GUARDED_BY(mutex_);
  std::string request_id_ ABSL_GUARDED_BY(mutex_);
};

class CallWatchTest : public testing::Test {
 protected:
  void Start(ServerOptions options = {}) {
    options.call_observers = {[this](const CallRecord& record) {
      MutexLock lock(&mutex_);
      records_.push_back(record);
    }};
    server_ = Server::Start(options, {{"llama.v1.GatewayService", &service_}}, gate_).value();
    channel_ = CreateChannel(server_->address());
    gate_.SetServing();
  }
  grpc::Status Call(bool held = false) {
    v1::GetInfoRequest request;
    request.set_tensors(held);
    v1::GetInfoResponse response;
    return v1::GatewayService::NewStub(channel_)->GetInfo(&context_, request, &response);
  }
  // Whose call the server says that one with this header is.
  std::string CallerWith(const std::string& key, const std::string& value) {
    grpc::ClientContext context;
    context.AddMetadata(key, value);
    v1::GetInfoResponse response;
    EXPECT_TRUE(v1::GatewayService::NewStub(channel_)->GetInfo(&context, {}, &response).ok());
    return service_.caller();
  }
  // Of all calls, for the server is done with them then. In any order: a call's record is made when
  // gRPC lets go of the call, which may be after its client made the next one.
  std::vector<CallRecord> Records() {
    server_->Drain();
    MutexLock lock(&mutex_);
    return records_;
  }

  ServingGate gate_;
  TestService service_;
  Mutex mutex_;
  std::vector<CallRecord> records_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
  grpc::ClientContext context_;
};

TEST_F(CallWatchTest, AnAnsweredCallHasOneRecordWithWhatTheServiceNoted) {
  Start();
  ASSERT_TRUE(Call().ok());
  const std::vector<CallRecord> records = Records();
  ASSERT_EQ(records.size(), 1U);
  EXPECT_EQ(records[0].method, kGetInfo);
  EXPECT_FALSE(records[0].is_probe);
  EXPECT_EQ(records[0].code, absl::StatusCode::kOk);
  EXPECT_EQ(records[0].reason, "");
  EXPECT_THAT(records[0].peer, StartsWith("ipv4:127.0.0.1:"));
  EXPECT_EQ(records[0].caller, "ipv4:127.0.0.1");
  EXPECT_EQ(records[0].prompt_tokens, 3);
  EXPECT_EQ(records[0].completion_tokens, 9);
  EXPECT_FALSE(records[0].cached_prompt_tokens.has_value());
  EXPECT_FALSE(records[0].queue.has_value());
  ASSERT_TRUE(records[0].first_token.has_value());
  EXPECT_GE(records[0].total, *records[0].first_token);
}

TEST_F(CallWatchTest, ARefusedCallHasCodeAndReason) {
  Start();
  service_.answer = MakeStatus(absl::StatusCode::kResourceExhausted, "QUEUE_FULL", "full");
  EXPECT_FALSE(Call().ok());
  EXPECT_THAT(Records(),
              ElementsAre(AllOf(Field(&CallRecord::code, absl::StatusCode::kResourceExhausted),
                                Field(&CallRecord::reason, "QUEUE_FULL"))));
}

TEST_F(CallWatchTest, ACancelledCallSaysSo) {
  Start();
  context_.set_deadline(std::chrono::system_clock::now() + std::chrono::minutes(1));
  std::thread cancel([this] {
    while (service_.held == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    context_.TryCancel();
  });
  EXPECT_EQ(Call(true).error_code(), grpc::StatusCode::CANCELLED);
  cancel.join();
  EXPECT_THAT(Records(), ElementsAre(Field(&CallRecord::code, absl::StatusCode::kCancelled)));
}

TEST_F(CallWatchTest, AnExpiredCallHasTheCodeThatItsClientSees) {
  Start();
  ASSERT_TRUE(
      channel_->WaitForConnected(std::chrono::system_clock::now() + std::chrono::minutes(1)));
  context_.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(1));
  EXPECT_EQ(Call(true).error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_THAT(Records(),
              ElementsAre(Field(&CallRecord::code, absl::StatusCode::kDeadlineExceeded)));
}

TEST_F(CallWatchTest, CallsThatNoServiceGetsToSeeHaveOneTooWithACutName) {
  Start();
  const std::string path = "/no.such/" + std::string(300, 'x');
  v1::GetInfoResponse response;
  EXPECT_FALSE(grpc::internal::BlockingUnaryCall(
                   channel_.get(),
                   grpc::internal::RpcMethod(path.c_str(), grpc::internal::RpcMethod::NORMAL_RPC),
                   &context_, v1::GetInfoRequest(), &response)
                   .ok());
  // Bytes that are not that message.
  grpc::ClientContext other;
  grpc::Slice bytes("\xff\xff\xff");
  const grpc::ByteBuffer wrong(&bytes, 1);
  EXPECT_FALSE(grpc::internal::BlockingUnaryCall(
                   channel_.get(),
                   grpc::internal::RpcMethod("/llama.v1.GatewayService/GetInfo",
                                             grpc::internal::RpcMethod::NORMAL_RPC),
                   &other, wrong, &response)
                   .ok());
  EXPECT_THAT(Records(), UnorderedElementsAre(
                             AllOf(Field(&CallRecord::method, path.substr(1, 128)),
                                   Field(&CallRecord::code, absl::StatusCode::kUnimplemented)),
                             AllOf(Field(&CallRecord::method, kGetInfo),
                                   Field(&CallRecord::code, Ne(absl::StatusCode::kOk)))));
}

TEST_F(CallWatchTest, HealthChecksAreProbesAndTheServersOwnAreLeftOut) {
  Start();
  std::this_thread::sleep_for(std::chrono::milliseconds(700));  // Two heartbeats.
  grpc::health::v1::HealthCheckResponse response;
  EXPECT_TRUE(grpc::health::v1::Health::NewStub(channel_)->Check(&context_, {}, &response).ok());
  EXPECT_THAT(Records(), ElementsAre(AllOf(Field(&CallRecord::is_probe, true),
                                           Field(&CallRecord::code, absl::StatusCode::kOk))));
}

TEST_F(CallWatchTest, OnlyQuestionsCanBeMarkedAsProbes) {
  Start();
  context_.AddMetadata(kProbeMetadata, "1");
  EXPECT_TRUE(Call().ok());
  grpc::ClientContext other;
  other.AddMetadata(kProbeMetadata, "1");
  const auto stream = v1::GatewayService::NewStub(channel_)->Generate(&other, {});
  stream->Finish();
  EXPECT_THAT(Records(),
              UnorderedElementsAre(
                  AllOf(Field(&CallRecord::method, kGetInfo), Field(&CallRecord::is_probe, true)),
                  AllOf(Field(&CallRecord::method, "llama.v1.GatewayService/Generate"),
                        Field(&CallRecord::is_probe, false))));
}

TEST_F(CallWatchTest, ARequestIdIsTheCallersOrMadeHere) {
  Start();
  context_.AddMetadata(kRequestIdMetadata, "Mine_1-2");
  EXPECT_TRUE(Call().ok());
  EXPECT_EQ(service_.request_id(), "Mine_1-2");
  std::set<std::string> made;
  for (const std::string& bad : {std::string(), std::string("a b"), std::string("a\"b"),
                                 std::string(65, 'a'), std::string(1000, 'a')}) {
    grpc::ClientContext context;
    if (!bad.empty()) context.AddMetadata(kRequestIdMetadata, bad);
    v1::GetInfoResponse response;
    EXPECT_TRUE(v1::GatewayService::NewStub(channel_)->GetInfo(&context, {}, &response).ok());
    EXPECT_TRUE(IsRequestId(service_.request_id()));
    made.insert(service_.request_id());
  }
  EXPECT_EQ(made.size(), 5U);
  EXPECT_FALSE(made.contains("Mine_1-2"));
}

TEST_F(CallWatchTest, ATokenThatNobodyCheckedMakesNoCallerOfItsOwn) {
  Start();
  for (const char* token : {"Bearer one", "Bearer two"}) {
    EXPECT_EQ(CallerWith("authorization", token), "ipv4:127.0.0.1");
  }
}

TEST_F(CallWatchTest, ACheckedTokensOwnerIsACallerWhoseTokenIsNotShown) {
  Start({.access = {.tokens_are_checked = true}});
  std::set<std::string> callers;
  for (const char* token : {"Bearer one", "Bearer two", "Bearer one"}) {
    const std::string caller = CallerWith("authorization", token);
    EXPECT_THAT(caller, StartsWith("token:"));
    EXPECT_THAT(caller, testing::Not(testing::HasSubstr("one")));
    callers.insert(caller);
  }
  EXPECT_EQ(callers.size(), 2U);
}

TEST_F(CallWatchTest, OneTokenIsOneCallerHoweverItsSchemeIsWritten) {
  Start({.access = {.tokens_are_checked = true}});
  const std::string caller = CallerWith("authorization", "Bearer x");
  EXPECT_THAT(caller, StartsWith("token:"));
  EXPECT_EQ(CallerWith("authorization", "bEARER x"), caller);
  EXPECT_NE(CallerWith("authorization", "Bearer X"), caller);
}

TEST_F(CallWatchTest, AClientThatNamesCallersIsOneCaller) {
  Start();
  for (const char* caller : {"one", "two"}) {
    EXPECT_EQ(CallerWith(kCallerMetadata, caller), "ipv4:127.0.0.1");
  }
}

TEST_F(CallWatchTest, AServicesCallersAreCallersOfTheirOwn) {
  Start({.callers_are_services = true});
  EXPECT_EQ(CallerWith(kCallerMetadata, "one"), "ipv4:127.0.0.1/one");
  EXPECT_EQ(CallerWith(kCallerMetadata, "two"), "ipv4:127.0.0.1/two");
}

TEST_F(CallWatchTest, AForwardedCallerIsCutAndCanBeForwardedAgain) {
  Start({.callers_are_services = true});
  EXPECT_EQ(CallerWith(kCallerMetadata, "a b " + std::string(1000, 'c')),
            "ipv4:127.0.0.1/a?b?" + std::string(124, 'c'));
}

}  // namespace
}  // namespace llama
