#include "common/proto_duration.h"

#include "gtest/gtest.h"

namespace llama {
namespace {

google::protobuf::Duration ToProto(absl::Duration duration) {
  google::protobuf::Duration out;
  SetDuration(duration, out);
  return out;
}

TEST(ProtoDurationTest, SecondsAndNanosecondsHaveTheSameSign) {
  EXPECT_EQ(ToProto(absl::Milliseconds(2500)).seconds(), 2);
  EXPECT_EQ(ToProto(absl::Milliseconds(2500)).nanos(), 500'000'000);
  EXPECT_EQ(ToProto(absl::Milliseconds(-2500)).seconds(), -2);
  EXPECT_EQ(ToProto(absl::Milliseconds(-2500)).nanos(), -500'000'000);
}

TEST(ProtoDurationTest, WhatIsShorterThanANanosecondIsCutOff) {
  EXPECT_EQ(ToProto(absl::Nanoseconds(7) + absl::Nanoseconds(3) / 4).nanos(), 7);
}

TEST(ProtoDurationTest, AnyNumberOfNanosecondsComesBack) {
  for (const absl::Duration duration :
       {absl::ZeroDuration(), absl::Nanoseconds(1), absl::Nanoseconds(-1), absl::Seconds(1),
        absl::Nanoseconds(-1'000'000'001), absl::Hours(24 * 365 * 10'000)}) {
    EXPECT_EQ(FromProto(ToProto(duration)), duration);
  }
}

}  // namespace
}  // namespace llama
