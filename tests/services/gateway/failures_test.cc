#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/proto_duration.h"
#include "common/status_details.h"
#include "gmock/gmock.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "gtest/gtest.h"
#include "tests/services/gateway/fake_backends.h"
#include "tests/services/gateway/gateway_under_test.h"

namespace llama {
namespace {

using ::testing::AnyOf;
using ::testing::Eq;

std::string Metadata(const absl::Status& status, const std::string& key) {
  const auto info = GetDetail<google::rpc::ErrorInfo>(status);
  if (!info.has_value() || !info->metadata().contains(key)) return "";
  return info->metadata().at(key);
}

// A status as the services make it, with a detail that the gateway does not know of, too.
absl::Status Detailed(absl::StatusCode code, absl::string_view reason) {
  absl::Status status = MakeStatus(code, reason, "as it is", {{"percent", "40"}});
  SetRetryDelay(absl::Seconds(3), status);
  status.SetPayload("type.googleapis.com/of.another.kind", absl::Cord("bytes"));
  return status;
}

std::string Health(Server& server, const std::string& service) {
  const auto stub = grpc::health::v1::Health::NewStub(CreateChannel(server.address()));
  grpc::ClientContext context;
  grpc::health::v1::HealthCheckRequest request;
  request.set_service(service);
  grpc::health::v1::HealthCheckResponse response;
  if (!stub->Check(&context, request, &response).ok()) return "no answer";
  return grpc::health::v1::HealthCheckResponse::ServingStatus_Name(response.status());
}

class FailuresTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(gateway_.Await(true)); }

  Reply Ask(const v1::GenerateRequest& request = TextRequest()) {
    return Generate(gateway_.stub(), request);
  }

  FakeTokenizer tokenizer_;
  FakeModel model_;
  FakeServer tokenizer_server_{tokenizer_};
  FakeServer model_server_{model_};
  GatewayUnderTest gateway_{tokenizer_server_.address(), model_server_.address()};
};

TEST_F(FailuresTest, TheModelsErrorsPassWithAllTheirDetails) {
  const absl::Status status = Detailed(absl::StatusCode::kResourceExhausted, "QUEUE_FULL");
  model_.SetScript(
      [status](grpc::ServerContext&, FakeModel::Writer&) { return ToGrpcStatus(status); });
  const Reply reply = Ask();
  EXPECT_EQ(reply.status, status);
  EXPECT_TRUE(reply.messages.empty());
}

TEST_F(FailuresTest, TheModelsErrorsInMidStreamPassWithAllTheirDetailsAfterTheText) {
  const absl::Status status = Detailed(absl::StatusCode::kInternal, "NON_FINITE_LOGITS");
  model_.SetScript([status](grpc::ServerContext&, FakeModel::Writer& writer) {
    WriteAccepted(writer);
    WriteTokens(writer, {kHello, kSt});
    return ToGrpcStatus(status);
  });
  for (const v1::GenerateRequest& request : {TextRequest(), TextRequest({"xy"})}) {
    const Reply reply = Ask(request);
    EXPECT_EQ(reply.status, status);
    EXPECT_EQ(reply.text(), " HelloST");
  }
}

TEST_F(FailuresTest, TheTokenizersErrorsPassWithAllTheirDetails) {
  const absl::Status status = Detailed(absl::StatusCode::kInvalidArgument, "PROMPT_TOO_LONG");
  tokenizer_.FailEncode(ToGrpcStatus(status));
  const Reply reply = Ask();
  EXPECT_EQ(reply.status, status);
}

TEST_F(FailuresTest, FieldPathsAreThoseOfTheClientsMessage) {
  for (const auto& [theirs, ours] : std::vector<std::pair<std::string, std::string>>{
           {"prompt_token_ids[3]", "prompt.token_ids.ids[3]"},
           {"prompt_token_ids", "prompt.token_ids.ids"},
           {"sampling.logit_bias[32000]", "sampling.logit_bias[32000]"}}) {
    model_.SetScript([field = theirs](grpc::ServerContext&, FakeModel::Writer&) {
      return ToGrpcStatus(FieldInvalid(field, "is wrong"));
    });
    EXPECT_EQ(Ask().status, FieldInvalid(ours, "is wrong"));
  }
}

TEST_F(FailuresTest, AModelThatDiesInMidStreamIsReportedWithTheTokensSoFar) {
  model_.SetScript([](grpc::ServerContext& context, FakeModel::Writer& writer) {
    WriteAccepted(writer);
    WriteTokens(writer, {kHello, kWorld});
    return AwaitCancelled(context);
  });
  grpc::ClientContext context;
  const auto reader = gateway_.stub().Generate(&context, TextRequest());
  v1::GenerateResponse message;
  while (reader->Read(&message) && !message.has_delta()) {
  }
  model_server_.Kill();
  while (reader->Read(&message)) {
  }
  const absl::Status status = FromGrpcStatus(reader->Finish());
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(GetReason(status), "BACKEND_LOST");
  EXPECT_EQ(Metadata(status, "backend"), "model");
  EXPECT_EQ(Metadata(status, "tokens"), "2");
}

TEST_F(FailuresTest, ATokenizerThatDiesInMidStreamIsReportedAtTheNextToken) {
  std::atomic<bool> killed = false;
  model_.SetScript([&killed](grpc::ServerContext& context, FakeModel::Writer& writer) {
    WriteAccepted(writer);
    WriteTokens(writer, {kHello});
    while (!killed && !context.IsCancelled()) std::this_thread::yield();
    WriteTokens(writer, {kWorld});
    return AwaitCancelled(context);
  });
  grpc::ClientContext context;
  const auto reader = gateway_.stub().Generate(&context, TextRequest());
  v1::GenerateResponse message;
  while (reader->Read(&message) && !message.has_delta()) {
  }
  tokenizer_server_.Kill();
  killed = true;
  while (reader->Read(&message)) {
  }
  const absl::Status status = FromGrpcStatus(reader->Finish());
  EXPECT_EQ(GetReason(status), "BACKEND_LOST") << status;
  EXPECT_EQ(Metadata(status, "backend"), "tokenizer");
  EXPECT_EQ(Metadata(status, "tokens"), "1");
  EXPECT_TRUE(model_.AwaitOver(1));  // Nobody needs it any more.
}

TEST_F(FailuresTest, AModelThatEndsWithoutFinishedIsLost) {
  model_.SetScript([](grpc::ServerContext&, FakeModel::Writer& writer) {
    WriteAccepted(writer);
    return grpc::Status::OK;
  });
  EXPECT_EQ(GetReason(Ask().status), "BACKEND_LOST");
}

TEST_F(FailuresTest, TheGatewayRecoversWhenABackendComesBack) {
  model_.SetScript(Replies({{kHello}}));
  for (FakeServer* const backend : {&model_server_, &tokenizer_server_}) {
    EXPECT_EQ(Health(gateway_.server(), "llama.v1.GatewayService"), "SERVING");
    backend->Kill();
    ASSERT_TRUE(gateway_.Await(false));
    EXPECT_EQ(Health(gateway_.server(), "llama.v1.GatewayService"), "NOT_SERVING");
    EXPECT_EQ(Health(gateway_.server(), ""), "SERVING");
    const Reply refused = Ask();
    EXPECT_EQ(refused.status.code(), absl::StatusCode::kUnavailable);
    EXPECT_EQ(GetReason(refused.status), "BACKEND_UNREACHABLE");
    EXPECT_EQ(Metadata(refused.status, "backend"),
              backend == &model_server_ ? "model" : "tokenizer");
    backend->Start();
    ASSERT_TRUE(gateway_.Await(true));
    EXPECT_EQ(Ask().text(), " Hello");
  }
}

TEST_F(FailuresTest, ALoadingBackendsAnswerPassesWithAllItsDetails) {
  const absl::Status loading = Detailed(absl::StatusCode::kUnavailable, "LOADING");
  model_.FailInfo(ToGrpcStatus(loading));
  ASSERT_TRUE(gateway_.Await(false));
  EXPECT_EQ(Ask().status, loading);
  grpc::ClientContext context;
  v1::GetInfoResponse response;
  EXPECT_EQ(FromGrpcStatus(gateway_.stub().GetInfo(&context, {}, &response)), loading);
  model_.FailInfo(grpc::Status::OK);
  EXPECT_TRUE(gateway_.Await(true));
}

TEST_F(FailuresTest, ATokenizerAndAModelOfDifferentVocabulariesAreRefused) {
  model_.SetVocabularySize(99);
  ASSERT_TRUE(gateway_.Await(false));
  const absl::Status status = Ask().status;
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(GetReason(status), "TOKENIZER_MISMATCH");
  EXPECT_EQ(Metadata(status, "tokenizer_vocabulary_size"), absl::StrCat(kVocabularySize));
  EXPECT_EQ(Metadata(status, "model_vocabulary_size"), "99");
  EXPECT_EQ(Health(gateway_.server(), "llama.v1.GatewayService"), "NOT_SERVING");
}

TEST_F(FailuresTest, CancellationReachesTheModel) {
  model_.SetScript([](grpc::ServerContext& context, FakeModel::Writer& writer) {
    WriteAccepted(writer);
    WriteTokens(writer, {kHello});
    return AwaitCancelled(context);
  });
  grpc::ClientContext context;
  const auto reader = gateway_.stub().Generate(&context, TextRequest());
  v1::GenerateResponse message;
  while (reader->Read(&message) && !message.has_delta()) {
  }
  context.TryCancel();
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(model_.AwaitOver(1));
  EXPECT_TRUE(gateway_.AwaitEmpty());
}

TEST_F(FailuresTest, TheDeadlineReachesTheModel) {
  std::atomic<std::chrono::system_clock::time_point> deadline;
  model_.SetScript([&deadline](grpc::ServerContext& context, FakeModel::Writer& writer) {
    deadline = context.deadline();
    WriteAccepted(writer);
    return AwaitCancelled(context);
  });
  grpc::ClientContext context;
  const auto given = std::chrono::system_clock::now() + std::chrono::seconds(1);
  context.set_deadline(given);
  const auto reader = gateway_.stub().Generate(&context, TextRequest());
  for (v1::GenerateResponse message; reader->Read(&message);) {
  }
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_TRUE(model_.AwaitOver(1));
  // On the wire it is a time left, which is rounded.
  EXPECT_LT(deadline.load(), given + std::chrono::seconds(60));
  EXPECT_TRUE(gateway_.AwaitEmpty());
}

TEST_F(FailuresTest, AClientThatDoesNotReadPausesTheReplyAndThenGetsAllOfIt) {
  constexpr int64_t kTokens = 5000;  // Of 4 KiB.
  model_.SetScript([](grpc::ServerContext&, FakeModel::Writer& writer) {
    WriteAccepted(writer);
    for (int64_t i = 0; i < kTokens; ++i) WriteTokens(writer, {kLong});
    WriteFinished(writer, v1::FINISH_REASON_EOS);
    return grpc::Status::OK;
  });
  grpc::ClientContext context;
  const auto reader = gateway_.stub().Generate(&context, TextRequest());
  ASSERT_TRUE(model_.AwaitBegun(1));
  // Until it stands still; one that only seems to makes the check below weaker, not wrong.
  for (int64_t before = -1; before != tokenizer_.decoded();) {
    before = tokenizer_.decoded();
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
  EXPECT_LT(tokenizer_.decoded(), kTokens / 2);
  size_t bytes = 0;
  for (v1::GenerateResponse message; reader->Read(&message);)
    bytes += message.delta().text().size();
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(bytes, size_t{kTokens} * 4096);
}

TEST_F(FailuresTest, WhoIsRefusedInTheModelsNameHearsWhatTheModelWouldSay) {
  constexpr int kCalls = 8;
  model_.SetPlaces(1, kCalls);
  model_.SetWaitWhenFull(absl::Seconds(7));
  GatewayUnderTest gateway(tokenizer_server_.address(), model_server_.address());
  ASSERT_TRUE(gateway.Await(true));
  std::atomic<bool> go_on = false;
  model_.SetScript([&](grpc::ServerContext& context, FakeModel::Writer& writer) {
    while (!go_on && !context.IsCancelled()) std::this_thread::yield();
    WriteAccepted(writer);
    WriteFinished(writer, v1::FINISH_REASON_EOS);
    return grpc::Status::OK;
  });
  std::vector<std::thread> clients;
  for (int i = 0; i < kCalls; ++i) {
    clients.emplace_back([&] { EXPECT_TRUE(Generate(gateway.stub(), TextRequest()).status.ok()); });
  }
  EXPECT_TRUE(model_.AwaitBegun(kCalls));
  const absl::Status status = Generate(gateway.stub(), TextRequest()).status;
  EXPECT_EQ(GetReason(status), "QUEUE_FULL") << status;
  const auto retry = GetDetail<google::rpc::RetryInfo>(status);
  ASSERT_TRUE(retry.has_value());
  EXPECT_EQ(FromProto(retry->retry_delay()), absl::Seconds(7));
  go_on = true;
  for (std::thread& client : clients) client.join();
}

TEST_F(FailuresTest, CallsThatWaitForTheirTurnHearOfTheModelsRefusalsOfOthers) {
  GatewayUnderTest small(tokenizer_server_.address(), model_server_.address(), {},
                         {.max_entering = 1});
  ASSERT_TRUE(small.Await(true));
  std::atomic<bool> go_on = false;
  std::atomic<int> asked = 0;
  model_.SetScript([&](grpc::ServerContext& context, FakeModel::Writer&) {
    ++asked;
    while (!go_on && !context.IsCancelled()) std::this_thread::yield();
    absl::Status full = MakeStatus(absl::StatusCode::kResourceExhausted, "QUEUE_FULL", "full",
                                   {{"limit", "max_waiting"}});
    SetRetryDelay(absl::Seconds(10), full);
    return ToGrpcStatus(full);
  });
  std::vector<std::thread> clients;
  for (int i = 0; i < 12; ++i) {
    clients.emplace_back([&] {
      const absl::Status status = Generate(small.stub(), TextRequest()).status;
      EXPECT_EQ(GetReason(status), "QUEUE_FULL") << status;
      EXPECT_TRUE(GetDetail<google::rpc::RetryInfo>(status).has_value());
    });
  }
  while (small.admission().calls() < 12) std::this_thread::yield();
  // One that leaves while it waits is gone at once.
  grpc::ClientContext context;
  const auto reader = small.stub().Generate(&context, TextRequest());
  while (small.admission().calls() < 13) std::this_thread::yield();
  context.TryCancel();
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  while (small.admission().calls() > 12 || asked == 0) std::this_thread::yield();
  EXPECT_EQ(asked, 1);
  go_on = true;
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(asked, 4) << "the others were told what these were";
  EXPECT_TRUE(small.AwaitEmpty());
  EXPECT_EQ(small.admission().calls(), 0);
}

TEST_F(FailuresTest, ADrainLetsAReplyEnd) {
  std::atomic<bool> go_on = false;
  model_.SetScript([&go_on](grpc::ServerContext& context, FakeModel::Writer& writer) {
    WriteAccepted(writer);
    while (!go_on && !context.IsCancelled()) std::this_thread::yield();
    for (int i = 0; i < 100; ++i) WriteTokens(writer, {kHello});
    WriteFinished(writer, v1::FINISH_REASON_EOS);
    return grpc::Status::OK;
  });
  grpc::ClientContext context;
  const auto reader = gateway_.stub().Generate(&context, TextRequest());
  v1::GenerateResponse message;
  ASSERT_TRUE(reader->Read(&message));
  std::atomic<bool> all_over = false;
  std::thread drain([&] { all_over = gateway_.server().Drain(); });
  while (GetReason(gateway_.gate().Check()) != "DRAINING") std::this_thread::yield();
  EXPECT_EQ(GetReason(Ask().status), "DRAINING");
  go_on = true;
  while (reader->Read(&message)) {
  }
  EXPECT_TRUE(message.has_finished());
  EXPECT_TRUE(reader->Finish().ok());
  drain.join();
  EXPECT_TRUE(all_over);
}

// Every client's call ends once, whenever it or a backend goes away.
TEST_F(FailuresTest, CallsThatEndAtAnyMomentLeaveNothingBehind) {
  constexpr int kThreads = 6;
  constexpr int kRounds = 6;
  std::atomic<bool> enough = false;
  model_.SetScript([](grpc::ServerContext& context, FakeModel::Writer& writer) {
    WriteAccepted(writer);
    for (int i = 0; i < 10 && !context.IsCancelled(); ++i) WriteTokens(writer, {kHello, kSt});
    WriteFinished(writer, v1::FINISH_REASON_EOS);
    return grpc::Status::OK;
  });
  std::vector<std::thread> clients;
  for (int thread = 0; thread < kThreads; ++thread) {
    clients.emplace_back([this, thread, &enough] {
      for (int call = 0; !enough; ++call) {
        grpc::ClientContext context;
        if (call % 4 == 3) {
          context.set_deadline(std::chrono::system_clock::now() +
                               std::chrono::microseconds(500 * (call % 40)));
        }
        const auto reader =
            gateway_.stub().Generate(&context, TextRequest({call % 2 == 0 ? "HelloSTX" : "lo"}));
        const int reads = (thread + call) % 12;
        v1::GenerateResponse message;
        bool more = true;
        for (int i = 0; i < reads && more; ++i) more = reader->Read(&message);
        if (call % 3 == 0) context.TryCancel();
        while (more) more = reader->Read(&message);
        EXPECT_THAT(
            reader->Finish().error_code(),
            AnyOf(Eq(grpc::StatusCode::OK), Eq(grpc::StatusCode::CANCELLED),
                  Eq(grpc::StatusCode::UNAVAILABLE), Eq(grpc::StatusCode::DEADLINE_EXCEEDED)));
      }
    });
  }
  for (int round = 1; round <= kRounds; ++round) {
    EXPECT_TRUE(model_.AwaitBegun(int64_t{50} * round));
    FakeServer& backend = round % 2 == 0 ? model_server_ : tokenizer_server_;
    backend.Kill();
    backend.Start();
  }
  enough = true;
  for (std::thread& client : clients) client.join();
  EXPECT_TRUE(gateway_.AwaitEmpty());
  absl::Status status = Ask().status;
  while (absl::IsUnavailable(status)) status = Ask().status;  // Connects again.
  EXPECT_TRUE(status.ok()) << status;
}

TEST(GatewayStartTest, WithoutBackendsItSaysWhichOneIsMissing) {
  FakeTokenizer tokenizer;
  FakeServer tokenizer_server(tokenizer);
  FakeModel model;
  FakeServer model_server(model);
  model_server.Kill();  // Its port is free now.
  GatewayUnderTest gateway(tokenizer_server.address(), model_server.address());
  ASSERT_TRUE(gateway.Await(false));
  const absl::Status status = Generate(gateway.stub(), TextRequest()).status;
  EXPECT_EQ(GetReason(status), "BACKEND_UNREACHABLE") << status;
  EXPECT_EQ(Metadata(status, "backend"), "model");
  model.SetScript(Replies({{kHello}}));
  model_server.Start();
  ASSERT_TRUE(gateway.Await(true));
  EXPECT_EQ(Generate(gateway.stub(), TextRequest()).text(), " Hello");
}

TEST(GatewayStartTest, ABackendThatDoesNotAnswerIsUnreachable) {
  // Takes connections, and says nothing.
  const int mute = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  ASSERT_EQ(bind(mute, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(mute, 10), 0);
  ASSERT_EQ(getsockname(mute, reinterpret_cast<sockaddr*>(&address), &size), 0);
  {
    GatewayUnderTest gateway(absl::StrCat("127.0.0.1:", ntohs(address.sin_port)), "127.0.0.1:1");
    ASSERT_TRUE(gateway.Await(false));
    const absl::Status status = Generate(gateway.stub(), TextRequest()).status;
    EXPECT_EQ(GetReason(status), "BACKEND_UNREACHABLE") << status;
    EXPECT_EQ(Metadata(status, "backend"), "tokenizer");
  }
  close(mute);
}

}  // namespace
}  // namespace llama
