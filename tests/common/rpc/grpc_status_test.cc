#include "common/rpc/grpc_status.h"

#include "common/status_details.h"
#include "gtest/gtest.h"

namespace llama {
namespace {

using google::rpc::BadRequest;
using google::rpc::ErrorInfo;
using google::rpc::RetryInfo;

absl::Status OverTheWire(const absl::Status& status) {
  return FromGrpcStatus(ToGrpcStatus(status));
}

TEST(GrpcStatusTest, ReasonMetadataAndRetryDelayTravel) {
  absl::Status sent = MakeStatus(absl::StatusCode::kUnavailable, "LOADING", "the model is loading",
                                 {{"percent", "40"}});
  SetRetryDelay(absl::Milliseconds(2500), sent);
  const absl::Status received = OverTheWire(sent);
  EXPECT_EQ(received, sent);  // Payloads included.
  EXPECT_EQ(GetReason(received), "LOADING");
  EXPECT_EQ(GetDetail<ErrorInfo>(received)->domain(), "llama.v1");
  EXPECT_EQ(GetDetail<ErrorInfo>(received)->metadata().at("percent"), "40");
  EXPECT_EQ(GetDetail<RetryInfo>(received)->retry_delay().seconds(), 2);
  EXPECT_EQ(GetDetail<RetryInfo>(received)->retry_delay().nanos(), 500'000'000);
  EXPECT_FALSE(GetDetail<BadRequest>(received).has_value());
}

TEST(GrpcStatusTest, InvalidFieldIsNamed) {
  const absl::Status received = OverTheWire(FieldInvalid("sampling.top_p", "is 1.5, over 1"));
  EXPECT_EQ(received.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(received.message(), "sampling.top_p: is 1.5, over 1");
  EXPECT_EQ(GetReason(received), "FIELD_INVALID");
  EXPECT_EQ(GetDetail<BadRequest>(received)->field_violations(0).field(), "sampling.top_p");
}

TEST(GrpcStatusTest, OkAndForeignStatusesPass) {
  EXPECT_TRUE(ToGrpcStatus(absl::OkStatus()).ok());
  EXPECT_TRUE(OverTheWire(absl::OkStatus()).ok());
  const absl::Status plain = FromGrpcStatus({grpc::StatusCode::UNAVAILABLE, "no route", "\xff"});
  EXPECT_EQ(plain, absl::UnavailableError("no route"));
  EXPECT_EQ(GetReason(plain), "");
}

}  // namespace
}  // namespace llama
