#include "common/rpc/serving_gate.h"

#include <thread>
#include <utility>

#include "absl/time/clock.h"
#include "common/status_details.h"
#include "gtest/gtest.h"

namespace llama {
namespace {

TEST(ServingGateTest, SaysWhyItIsShut) {
  ServingGate gate;
  EXPECT_EQ(GetReason(gate.Enter().status()), "LOADING");
  gate.SetLoading(40);
  const absl::Status loading = gate.Check();
  EXPECT_EQ(GetDetail<google::rpc::ErrorInfo>(loading)->metadata().at("percent"), "40");
  EXPECT_TRUE(GetDetail<google::rpc::RetryInfo>(loading).has_value());
  gate.SetUnavailable(absl::UnavailableError("no model"));
  EXPECT_EQ(gate.Enter().status(), absl::UnavailableError("no model"));
  gate.SetServing();
  EXPECT_TRUE(gate.Enter().ok());
  gate.SetDraining();
  gate.SetServing();
  gate.SetLoading(1);
  EXPECT_EQ(GetReason(gate.Enter().status()), "DRAINING") << "draining is final";
}

TEST(ServingGateTest, CountsTheCallsInside) {
  ServingGate gate;
  gate.SetServing();
  ServingGate::Pass first = *gate.Enter();
  {
    ServingGate::Pass second = *gate.Enter();
    EXPECT_EQ(gate.calls(), 2);
    ServingGate::Pass moved = std::move(second);
    EXPECT_EQ(gate.calls(), 2);
  }
  EXPECT_EQ(gate.calls(), 1);
  EXPECT_FALSE(gate.WaitUntilEmpty(absl::Now() + absl::Milliseconds(5)));
  std::thread other(
      [pass = std::move(first)]() mutable { ServingGate::Pass last = std::move(pass); });
  EXPECT_TRUE(gate.WaitUntilEmpty(absl::InfiniteFuture()));
  other.join();
}

}  // namespace
}  // namespace llama
