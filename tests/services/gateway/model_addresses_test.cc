#include "services/gateway/model_addresses.h"

#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/mutex.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace llama {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// What the name "many" has now.
struct Zone {
  Mutex mutex;
  absl::StatusOr<std::vector<std::string>> many ABSL_GUARDED_BY(mutex) =
      absl::UnavailableError("no such name");
};
Zone& zone() {
  static Zone& zone = *new Zone;  // Threads of earlier tests may still look.
  return zone;
}

absl::StatusOr<std::vector<std::string>> Resolve(const std::string& name, const std::string& port) {
  if (name != "many") return std::vector<std::string>{absl::StrCat("9.9.9.9:", port)};
  MutexLock lock(&zone().mutex);
  return zone().many;
}

void SetMany(absl::StatusOr<std::vector<std::string>> addresses) {
  MutexLock lock(&zone().mutex);
  zone().many = std::move(addresses);
}

// Waits for `count` addresses.
std::vector<ReplicaAddress> Await(ModelAddresses& addresses, size_t count) {
  const absl::Time end = absl::Now() + absl::Seconds(20);
  while (absl::Now() < end) {
    addresses.Refresh();
    if (auto now = addresses.Get(); now.ok() && now->size() == count) return *now;
    absl::SleepFor(absl::Milliseconds(10));
  }
  return {};
}

TEST(ModelAddressesTest, TargetsThatAreNoNamesStandForThemselves) {
  const auto addresses = ModelAddresses::Create("127.0.0.1:1,unix:/run/model,[::1]:2,127.0.0.1:1");
  ASSERT_TRUE(addresses.ok());
  EXPECT_THAT(*addresses->Get(),
              ElementsAre(ReplicaAddress{"127.0.0.1:1", ""}, ReplicaAddress{"unix:/run/model", ""},
                          ReplicaAddress{"[::1]:2", ""}));
}

TEST(ModelAddressesTest, AnEmptyTargetIsRefused) {
  for (const char* const targets : {"", ",", "127.0.0.1:1,", ",127.0.0.1:1"}) {
    EXPECT_EQ(ModelAddresses::Create(targets).status().code(), absl::StatusCode::kInvalidArgument);
  }
}

TEST(ModelAddressesTest, ANameIsFollowedAsItsAddressesChange) {
  SetMany(absl::UnavailableError("no such name"));
  auto addresses = *ModelAddresses::Create("dns:///many:50052,other:1", Resolve);
  EXPECT_THAT(Await(addresses, 1), ElementsAre(ReplicaAddress{"other:1", ""}));
  SetMany(std::vector<std::string>{"1.1.1.1:50052", "2.2.2.2:50052"});
  const ReplicaAddress first = {"1.1.1.1:50052", "many:50052"};
  const ReplicaAddress second = {"2.2.2.2:50052", "many:50052"};
  const ReplicaAddress other = {"other:1", ""};
  EXPECT_THAT(Await(addresses, 3), ElementsAre(first, second, other));
  SetMany(std::vector<std::string>{"2.2.2.2:50052"});
  EXPECT_THAT(Await(addresses, 2), ElementsAre(second, other));
}

TEST(ModelAddressesTest, WhatANameHadIsKeptWhileItCannotBeResolved) {
  SetMany(std::vector<std::string>{"1.1.1.1:50052"});
  auto addresses = *ModelAddresses::Create("dns:///many:50052", Resolve);
  ASSERT_EQ(Await(addresses, 1).size(), 1u);
  SetMany(absl::UnavailableError("the name server does not answer"));
  addresses.Refresh();
  absl::SleepFor(absl::Seconds(1));
  EXPECT_EQ(addresses.Get()->size(), 1u);
}

TEST(ModelAddressesTest, WithoutAnyAddressItIsKnownWhy) {
  SetMany(absl::UnavailableError("no such name"));
  auto addresses = *ModelAddresses::Create("dns:///many:50052", Resolve);
  const absl::Time end = absl::Now() + absl::Seconds(20);
  while (addresses.Get().status().message() != "no such name" && absl::Now() < end) {
    absl::SleepFor(absl::Milliseconds(10));
  }
  EXPECT_EQ(addresses.Get().status(), absl::UnavailableError("no such name"));
}

TEST(ModelAddressesTest, TheSystemKnowsThisMachine) {
  const auto addresses = ModelAddresses::ResolveBySystem("localhost", "50052");
  ASSERT_TRUE(addresses.ok()) << addresses.status();
  EXPECT_THAT(*addresses, testing::Contains("127.0.0.1:50052"));
  const auto numeric = ModelAddresses::ResolveBySystem("::1", "1");
  ASSERT_TRUE(numeric.ok()) << numeric.status();
  EXPECT_THAT(*numeric, ElementsAre("[::1]:1"));
  const auto none = ModelAddresses::ResolveBySystem("no-such-name.invalid", "1");
  EXPECT_TRUE(absl::IsUnavailable(none.status()));
  EXPECT_THAT(std::string(none.status().message()), HasSubstr("no-such-name.invalid:1"));
}

}  // namespace
}  // namespace llama
