#include "common/rpc/channel.h"

#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/rpc/server.h"
#include "common/rpc/unary.h"
#include "gtest/gtest.h"
#include "llama/v1/gateway_service.grpc.pb.h"

namespace llama {
namespace {

constexpr char kService[] = "llama.v1.GatewayService";
constexpr int kCalls = 20;

// Counts its calls and answers all of them alike.
class CountingService final : public v1::GatewayService::CallbackService {
 public:
  grpc::ServerUnaryReactor* GetInfo(grpc::CallbackServerContext* context, const v1::GetInfoRequest*,
                                    v1::GetInfoResponse*) override {
    ++calls;
    return FinishUnary(context, refuses ? absl::UnavailableError("not now") : absl::OkStatus());
  }
  std::atomic<bool> refuses = false;
  std::atomic<int> calls = 0;
};

// One channel over two servers.
class ChannelTest : public testing::Test {
 protected:
  void SetUp() override {
    for (size_t i = 0; i < 2; ++i) {
      servers_[i] = Server::Start({}, {{kService, &services_[i]}}, gate_).value();
      servers_[i]->SetReady(true);
    }
  }
  std::unique_ptr<v1::GatewayService::Stub> Connect(const ChannelOptions& options) {
    return v1::GatewayService::NewStub(
        CreateChannel(absl::StrCat("ipv4:", servers_[0]->address(), ",", servers_[1]->address()),
                      grpc::InsecureChannelCredentials(), options));
  }
  static int Failures(v1::GatewayService::Stub& stub) {
    int failures = 0;
    for (int i = 0; i < kCalls; ++i) {
      grpc::ClientContext context;
      context.set_wait_for_ready(true);
      v1::GetInfoResponse response;
      if (!stub.GetInfo(&context, {}, &response).ok()) ++failures;
    }
    return failures;
  }
  // Whether both servers get calls before long: at first only one may be connected.
  bool UsesBoth(v1::GatewayService::Stub& stub) {
    const absl::Time end = absl::Now() + absl::Seconds(20);
    while ((services_[0].calls == 0 || services_[1].calls == 0) && absl::Now() < end) {
      Failures(stub);
    }
    return services_[0].calls > 0 && services_[1].calls > 0;
  }

  ServingGate gate_;
  std::array<CountingService, 2> services_;
  std::array<std::unique_ptr<Server>, 2> servers_;
};

TEST_F(ChannelTest, CallsTakeTurnsAmongTheAddresses) {
  const auto stub = Connect({});
  ASSERT_TRUE(UsesBoth(*stub));
  const int before = services_[0].calls;
  EXPECT_EQ(Failures(*stub), 0);
  EXPECT_EQ(services_[0].calls - before, kCalls / 2);
}

TEST_F(ChannelTest, WhatOneServerRefusesIsTriedAtTheOther) {
  services_[0].refuses = true;
  const auto plain = Connect({});
  ASSERT_TRUE(UsesBoth(*plain));
  EXPECT_EQ(Failures(*plain), kCalls / 2);
  const auto stub = Connect({.retried_service = kService});
  ASSERT_TRUE(UsesBoth(*stub));
  EXPECT_EQ(Failures(*stub), 0);
}

TEST_F(ChannelTest, ACallIsTriedThreeTimesInAll) {
  services_[0].refuses = true;
  services_[1].refuses = true;
  const auto stub = Connect({.retried_service = kService});
  grpc::ClientContext context;
  context.set_wait_for_ready(true);
  v1::GetInfoResponse response;
  EXPECT_EQ(stub->GetInfo(&context, {}, &response).error_message(), "not now");
  EXPECT_EQ(services_[0].calls + services_[1].calls, 3);
}

TEST_F(ChannelTest, WhoIsNotHealthyGetsNoCallsUntilItIs) {
  servers_[0]->SetReady(false);
  const auto stub = Connect({.retried_service = kService, .checks_health = true});
  EXPECT_EQ(Failures(*stub), 0);
  EXPECT_EQ(services_[0].calls, 0);
  servers_[0]->SetReady(true);
  EXPECT_TRUE(UsesBoth(*stub));
  servers_[1]->SetReady(false);
  const absl::Time end = absl::Now() + absl::Seconds(20);
  int before = -1;
  while (before != services_[1].calls && absl::Now() < end) {
    before = services_[1].calls;
    Failures(*stub);
  }
  EXPECT_EQ(services_[1].calls, before);
}

}  // namespace
}  // namespace llama
