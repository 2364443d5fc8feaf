#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/status_details.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/services/gateway/fake_backends.h"
#include "tests/services/gateway/gateway_under_test.h"

namespace llama {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::Ge;

constexpr size_t kReplicas = 3;
constexpr int kPrompts = 24;

v1::GenerateRequest Prompt(int number) {
  v1::GenerateRequest request;
  request.mutable_prompt()->set_text(absl::StrCat("prompt ", number));
  return request;
}

// A gateway over three replicas of a model.
class ReplicasTest : public testing::Test {
 protected:
  void SetUp() override {
    for (FakeModel& model : models_) model.SetScript(Replies({{kHello}}));
    ASSERT_TRUE(gateway_.Await(true));
  }

  Reply Ask(int number) { return Generate(gateway_.stub(), Prompt(number)); }

  // How many calls each replica has had.
  std::vector<int64_t> Begun() const {
    std::vector<int64_t> begun;
    for (const FakeModel& model : models_) begun.push_back(model.begun());
    return begun;
  }
  int64_t AllBegun() const {
    int64_t all = 0;
    for (const int64_t begun : Begun()) all += begun;
    return all;
  }
  // Which replica a prompt goes to.
  size_t ReplicaOf(int number) {
    const std::vector<int64_t> before = Begun();
    EXPECT_TRUE(Ask(number).status.ok());
    const std::vector<int64_t> after = Begun();
    for (size_t i = 0; i < kReplicas; ++i) {
      if (after[i] != before[i]) return i;
    }
    ADD_FAILURE() << "no replica";
    return 0;
  }
  std::vector<size_t> ReplicasOfAll() {
    std::vector<size_t> replicas;
    for (int i = 0; i < kPrompts; ++i) replicas.push_back(ReplicaOf(i));
    return replicas;
  }
  bool Becomes(const std::vector<size_t>& expected) {
    const absl::Time end = absl::Now() + absl::Seconds(20);
    while (absl::Now() < end) {
      if (ReplicasOfAll() == expected) return true;
    }
    return false;
  }

  FakeTokenizer tokenizer_;
  std::array<FakeModel, kReplicas> models_;
  FakeServer tokenizer_server_{tokenizer_};
  std::array<FakeServer, kReplicas> servers_ = {FakeServer(models_[0]), FakeServer(models_[1]),
                                                FakeServer(models_[2])};
  GatewayUnderTest gateway_{
      tokenizer_server_.address(),
      absl::StrCat(servers_[0].address(), ",", servers_[1].address(), ",", servers_[2].address())};
};

TEST_F(ReplicasTest, APromptAlwaysGoesToTheSameReplicaAndAllHaveSome) {
  const std::vector<size_t> replicas = ReplicasOfAll();
  EXPECT_EQ(ReplicasOfAll(), replicas);
  EXPECT_THAT(Begun(), Each(Ge(2)));
}

TEST_F(ReplicasTest, TheModelHasThePlacesOfAllReplicasThatAreUsed) {
  ModelReplicas models(
      ModelAddresses::Create(absl::StrCat(servers_[0].address(), ",", servers_[1].address(), ",",
                                          servers_[2].address()))
          .value());
  EXPECT_EQ(models.Look(kVocabularySize)->max_running, 300);
  servers_[1].Kill();
  EXPECT_EQ(models.Look(kVocabularySize)->max_waiting, 2000);
}

TEST_F(ReplicasTest, APlaceBecomesFreeWhereItDoesFirstOfTheReplicasThatAreUsedAndTell) {
  ModelReplicas models(
      ModelAddresses::Create(absl::StrCat(servers_[0].address(), ",", servers_[1].address(), ",",
                                          servers_[2].address()))
          .value());
  const auto wait = [&] { return models.Look(kVocabularySize)->wait_when_full; };
  EXPECT_EQ(wait(), std::nullopt) << "none of them knows";
  models_[0].SetWaitWhenFull(absl::Seconds(3));
  EXPECT_EQ(wait(), absl::Seconds(3));
  models_[1].SetWaitWhenFull(absl::Milliseconds(500));
  models_[2].SetWaitWhenFull(absl::Seconds(1));
  EXPECT_EQ(wait(), absl::Milliseconds(500));
  models_[1].SetDigest("another model");
  EXPECT_EQ(wait(), absl::Seconds(1)) << "it is not used";
  models_[2].FailLoad(grpc::Status(grpc::StatusCode::UNIMPLEMENTED, "not known here"));
  EXPECT_EQ(wait(), absl::Seconds(3));
  EXPECT_EQ(models.Look(kVocabularySize)->max_running, 200) << "it is used nevertheless";
  models_[0].FailLoad(grpc::Status(grpc::StatusCode::UNAVAILABLE, "not now"));
  EXPECT_EQ(wait(), std::nullopt);
}

TEST_F(ReplicasTest, CallsBeyondAReplicasShareGoToTheOthers) {
  Mutex mutex;
  bool go_on = false;
  for (FakeModel& model : models_) {
    model.SetScript([&](grpc::ServerContext&, FakeModel::Writer& writer) {
      WriteAccepted(writer);
      // Not held any more when the reply is over, and with it perhaps the test.
      {
        MutexLock lock(&mutex, [&] { return go_on; });
      }
      WriteFinished(writer, v1::FINISH_REASON_EOS);
      return grpc::Status::OK;
    });
  }
  constexpr int64_t kCalls = 24;
  std::vector<std::thread> clients;
  for (int64_t i = 0; i < kCalls; ++i) {
    clients.emplace_back([this] { EXPECT_TRUE(Ask(1).status.ok()); });
  }
  const absl::Time end = absl::Now() + absl::Seconds(20);
  while (AllBegun() < kCalls && absl::Now() < end) absl::SleepFor(absl::Milliseconds(1));
  std::vector<int64_t> begun = Begun();
  {
    MutexLock lock(&mutex);
    go_on = true;
  }
  for (std::thread& client : clients) client.join();
  std::sort(begun.begin(), begun.end());
  // Less than 1.25 * 24 / 3 + 1 before the last one that it took.
  EXPECT_LE(begun[2], 12);
  EXPECT_GE(begun[2], 10) << "the one that the prompt belongs to";
  EXPECT_GE(begun[0], 1);
}

TEST_F(ReplicasTest, NobodyNoticesThatAReplicaDiesAndOnlyItsPromptsMove) {
  const std::vector<size_t> before = ReplicasOfAll();
  servers_[1].Kill();
  const std::vector<size_t> after = ReplicasOfAll();  // Which are all answered, from the first on.
  for (int i = 0; i < kPrompts; ++i) {
    const auto at = static_cast<size_t>(i);
    if (before[at] == 1) {
      EXPECT_NE(after[at], 1u);
    } else {
      EXPECT_EQ(after[at], before[at]);
    }
  }
  servers_[1].Start();
  EXPECT_TRUE(Becomes(before)) << "it has its prompts again";
}

TEST_F(ReplicasTest, TheGatewayIsReadyWhileOneReplicaIs) {
  servers_[0].Kill();
  servers_[2].Kill();
  absl::SleepFor(absl::Milliseconds(2500));  // Two looks.
  ASSERT_TRUE(gateway_.Await(true));
  EXPECT_THAT(ReplicasOfAll(), Each(1u));
  servers_[1].Kill();
  ASSERT_TRUE(gateway_.Await(false));
  EXPECT_EQ(GetReason(Ask(1).status), "BACKEND_UNREACHABLE");
}

TEST_F(ReplicasTest, ACallThatAReplicaCannotTakeIsTriedOnceMore) {
  const grpc::Status draining =
      ToGrpcStatus(MakeStatus(absl::StatusCode::kUnavailable, "DRAINING", "it ends"));
  const size_t first = ReplicaOf(1);
  const int64_t before = AllBegun();
  models_[first].SetScript([&](grpc::ServerContext&, FakeModel::Writer&) { return draining; });
  EXPECT_TRUE(Ask(1).status.ok());
  EXPECT_EQ(AllBegun(), before + 2);
}

TEST_F(ReplicasTest, ACallThatAnEndingReplicaDidNotLookAtIsTriedOnceMore) {
  const size_t first = ReplicaOf(1);
  const int64_t before = AllBegun();
  models_[first].SetScript(
      [](grpc::ServerContext&, FakeModel::Writer&) { return grpc::Status::CANCELLED; });
  EXPECT_TRUE(Ask(1).status.ok());
  EXPECT_EQ(AllBegun(), before + 2);
}

TEST_F(ReplicasTest, WhatTheSecondReplicaSaysIsTheAnswer) {
  const grpc::Status draining =
      ToGrpcStatus(MakeStatus(absl::StatusCode::kUnavailable, "DRAINING", "it ends"));
  for (FakeModel& model : models_) {
    model.SetScript([&](grpc::ServerContext&, FakeModel::Writer&) { return draining; });
  }
  EXPECT_EQ(GetReason(Ask(1).status), "DRAINING");
  EXPECT_EQ(AllBegun(), 2);
}

TEST_F(ReplicasTest, ACallThatWasAcceptedIsNeverRepeated) {
  for (FakeModel& model : models_) {
    model.SetScript([](grpc::ServerContext&, FakeModel::Writer& writer) {
      WriteAccepted(writer);
      return grpc::Status(grpc::StatusCode::UNAVAILABLE, "gone");
    });
  }
  EXPECT_EQ(GetReason(Ask(1).status), "BACKEND_LOST");
  EXPECT_EQ(AllBegun(), 1);
}

TEST_F(ReplicasTest, WhatIsNotUnavailableIsNotRepeated) {
  for (FakeModel& model : models_) {
    model.SetScript([](grpc::ServerContext&, FakeModel::Writer&) {
      return ToGrpcStatus(
          MakeStatus(absl::StatusCode::kResourceExhausted, "QUEUE_FULL", "all wait"));
    });
  }
  EXPECT_EQ(GetReason(Ask(1).status), "QUEUE_FULL");
  EXPECT_EQ(AllBegun(), 1);
}

TEST_F(ReplicasTest, ACancelledCallIsNotRepeated) {
  for (FakeModel& model : models_) {
    model.SetScript([](grpc::ServerContext& context, FakeModel::Writer&) {
      AwaitCancelled(context);
      return grpc::Status(grpc::StatusCode::UNAVAILABLE, "it ends");
    });
  }
  grpc::ClientContext context;
  const auto reader = gateway_.stub().Generate(&context, Prompt(1));
  const absl::Time end = absl::Now() + absl::Seconds(20);
  while (AllBegun() == 0 && absl::Now() < end) absl::SleepFor(absl::Milliseconds(1));
  context.TryCancel();
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(gateway_.AwaitEmpty());
  EXPECT_EQ(AllBegun(), 1);
}

TEST_F(ReplicasTest, GetInfoAsksAnotherReplicaWhereOneIsAway) {
  const std::vector<size_t> replicas = ReplicasOfAll();
  for (const grpc::Status& away :
       {grpc::Status(grpc::StatusCode::UNAVAILABLE, "away"), grpc::Status::CANCELLED}) {
    for (FakeModel& model : models_) {
      model.FailInfo(away);
      grpc::ClientContext context;
      v1::GetInfoResponse response;
      EXPECT_TRUE(gateway_.stub().GetInfo(&context, {}, &response).ok());
      EXPECT_EQ(response.compute_plan().threads(), 3);
      model.FailInfo(grpc::Status::OK);
      ASSERT_TRUE(Becomes(replicas)) << "it is used again";
    }
  }
}

TEST_F(ReplicasTest, AReplicaThatDoesNotFitTheTokenizerIsNotUsed) {
  const std::vector<size_t> before = ReplicasOfAll();
  models_[0].SetVocabularySize(99);
  std::vector<size_t> now;
  const absl::Time end = absl::Now() + absl::Seconds(20);
  do {
    now = ReplicasOfAll();
  } while (std::count(now.begin(), now.end(), 0u) > 0 && absl::Now() < end);
  EXPECT_THAT(now, Each(Ge(1u)));
  ASSERT_TRUE(gateway_.Await(true));
  models_[0].SetVocabularySize(kVocabularySize);
  EXPECT_TRUE(Becomes(before));
}

TEST_F(ReplicasTest, OfTwoModelsTheOneThatMostReplicasHaveIsUsed) {
  const auto digest_of = [this] {
    grpc::ClientContext context;
    v1::GetInfoResponse response;
    EXPECT_TRUE(gateway_.stub().GetInfo(&context, {}, &response).ok());
    return response.model().model().digest();
  };
  const auto uses = [&](const std::vector<size_t>& allowed) {
    const absl::Time end = absl::Now() + absl::Seconds(20);
    while (absl::Now() < end) {
      const std::vector<size_t> now = ReplicasOfAll();
      if (std::all_of(now.begin(), now.end(), [&](size_t replica) {
            return std::count(allowed.begin(), allowed.end(), replica) > 0;
          })) {
        return true;
      }
    }
    return false;
  };
  EXPECT_EQ(digest_of(), "");
  models_[2].SetDigest("new");
  EXPECT_TRUE(uses({0, 1}));
  EXPECT_EQ(digest_of(), "");
  models_[1].SetDigest("new");
  EXPECT_TRUE(uses({1, 2}));
  EXPECT_EQ(digest_of(), "new");
  servers_[1].Kill();  // As many of each: what was used stays.
  absl::SleepFor(absl::Milliseconds(2500));
  EXPECT_THAT(ReplicasOfAll(), Each(2u));
  EXPECT_EQ(digest_of(), "new");
}

}  // namespace
}  // namespace llama
