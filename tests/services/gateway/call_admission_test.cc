#include "services/gateway/call_admission.h"

#include <atomic>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "common/proto_duration.h"
#include "common/status_details.h"
#include "gtest/gtest.h"

namespace llama {
namespace {

using Place = std::shared_ptr<CallAdmission::Place>;

absl::Status Refusal(absl::Duration delay, const std::string& limit = "max_waiting") {
  absl::Status status =
      MakeStatus(absl::StatusCode::kResourceExhausted, "QUEUE_FULL", "full", {{"limit", limit}});
  SetRetryDelay(delay, status);
  return status;
}

absl::Duration RetryDelay(const absl::Status& status) {
  const auto info = GetDetail<google::rpc::RetryInfo>(status);
  if (!info.has_value()) return -absl::InfiniteDuration();
  return FromProto(info->retry_delay());
}

std::string LimitOf(const absl::Status& status) {
  const auto info = GetDetail<google::rpc::ErrorInfo>(status);
  return info.has_value() ? info->metadata().at("limit") : "";
}

class CallAdmissionTest : public testing::Test {
 protected:
  // A call that was let in and asks for its turn, which is noted as `name`.
  Place Call(const std::string& caller, const std::string& name = "") {
    Place place = *admission_.Enter(caller);
    place->AskForTurn([this, name = name.empty() ? caller : name](const absl::Status& status) {
      (status.ok() ? turns_ : refused_).push_back(name);
      last_ = status;
    });
    return place;
  }

  absl::Time now_ = absl::FromUnixSeconds(1'700'000'000);
  CallAdmission admission_{{.max_calls = 16, .max_entering = 2, .max_waiting = 8},
                           [this] { return now_; }};
  std::vector<std::string> turns_, refused_;
  absl::Status last_;
};

TEST_F(CallAdmissionTest, OnlySoManyAreOnTheirWayAndAnAnswerLetsTheNextOneGo) {
  const std::vector<Place> calls = {Call("a", "1"), Call("a", "2"), Call("a", "3"), Call("a", "4")};
  EXPECT_EQ(turns_, (std::vector<std::string>{"1", "2"}));
  calls[1]->Answer(absl::OkStatus());
  EXPECT_EQ(turns_.back(), "3");
  calls[1]->Answer(absl::OkStatus());
  EXPECT_EQ(turns_.size(), 3u) << "it had answered";
  calls[0]->Answer(absl::InternalError("whatever it is"));
  EXPECT_EQ(turns_.back(), "4");
  EXPECT_EQ(admission_.calls(), 4) << "until they are over";
}

TEST_F(CallAdmissionTest, TurnsGoAroundTheCallers) {
  std::vector<Place> calls = {Call("first"), Call("first")};
  for (const char* caller : {"a", "a", "a", "b", "c", "b"}) calls.push_back(Call(caller));
  turns_.clear();
  for (const size_t call : {0, 1, 2, 5}) calls[call]->Answer(absl::OkStatus());
  EXPECT_EQ(turns_, (std::vector<std::string>{"a", "b", "c", "a"}));
}

TEST_F(CallAdmissionTest, ACallThatIsOverMakesPlace) {
  Place first = Call("a", "1"), second = Call("a", "2"), third = Call("a", "3");
  first = nullptr;
  EXPECT_EQ(turns_.back(), "3");
  EXPECT_EQ(admission_.calls(), 2);
}

TEST_F(CallAdmissionTest, AWithdrawnCallHasNoTurn) {
  const Place first = Call("a"), second = Call("a");
  Place third = Call("a", "withdrawn");
  EXPECT_FALSE(first->Withdraw()) << "it is on its way";
  EXPECT_TRUE(third->Withdraw());
  EXPECT_FALSE(third->Withdraw());
  first->Answer(absl::OkStatus());
  EXPECT_EQ(turns_.size(), 2u);
  third = nullptr;
  EXPECT_EQ(admission_.calls(), 2);
}

TEST_F(CallAdmissionTest, RefusalsInARowAreTheAnswerToAllThatWait) {
  std::vector<Place> calls;
  for (int i = 0; i < 8; ++i) calls.push_back(Call("flood"));
  const Place other = Call("other");
  for (size_t i = 0; i < 3; ++i) calls[i]->Answer(Refusal(absl::Milliseconds(400)));
  EXPECT_EQ(refused_.size(), 0u) << "of several models one may be full";
  calls[3]->Answer(Refusal(absl::Milliseconds(400)));
  EXPECT_EQ(refused_.size() + turns_.size(), 9u);
  EXPECT_EQ(std::count(turns_.begin(), turns_.end(), "other"), 1) << "it is not meant";
  EXPECT_EQ(RetryDelay(last_), absl::Milliseconds(400));

  // New ones hear the same, with the time that is left, while it is sure to be true.
  now_ += absl::Milliseconds(150);
  const absl::Status again = admission_.Enter("flood").status();
  EXPECT_EQ(GetReason(again), "QUEUE_FULL");
  EXPECT_EQ(LimitOf(again), "max_waiting");
  EXPECT_EQ(again.message(), "full");
  EXPECT_EQ(RetryDelay(again), absl::Milliseconds(250));
  EXPECT_TRUE(admission_.Enter("other").ok());
  now_ += absl::Milliseconds(50);
  EXPECT_TRUE(admission_.Enter("flood").ok()) << "half of the time has passed";
}

TEST_F(CallAdmissionTest, NobodyIsRefusedForLongWithoutAskingTheModel) {
  for (int i = 0; i < 4; ++i) Call("a")->Answer(Refusal(absl::Hours(1)));
  EXPECT_FALSE(admission_.Enter("a").ok());
  now_ += absl::Milliseconds(250);
  EXPECT_TRUE(admission_.Enter("a").ok());
}

TEST_F(CallAdmissionTest, OtherAnswersTellNothingOfTheNext) {
  for (int i = 0; i < 9; ++i) {
    Call("a")->Answer(Refusal(absl::Seconds(1), "max_waiting_prefill_tokens"));
    Call("a")->Answer(absl::ResourceExhaustedError("too large"));
    if (i % 3 == 2) Call("a")->Answer(absl::OkStatus());
    Call("a")->Answer(Refusal(absl::Seconds(1)));
    ASSERT_TRUE(admission_.Enter("a").ok()) << i;
  }
}

TEST_F(CallAdmissionTest, ACallerAloneLeavesRoomForTheNext) {
  std::vector<Place> calls;
  for (int i = 0; i < 9; ++i) calls.push_back(Call("flood"));  // Two on their way, seven that wait.
  const absl::Status waiting = admission_.Enter("flood").status();
  EXPECT_EQ(LimitOf(waiting), "max_waiting_calls");
  EXPECT_EQ(GetReason(waiting), "QUEUE_FULL");
  EXPECT_GT(RetryDelay(waiting), absl::ZeroDuration());
  calls.push_back(Call("other"));
  EXPECT_FALSE(admission_.Enter("third").ok()) << "there are limits";

  for (size_t i = 0; i < calls.size(); ++i) calls[i]->Answer(absl::OkStatus());
  while (calls.size() < 15) {
    calls.push_back(Call("flood"));
    calls.back()->Answer(absl::OkStatus());
  }
  EXPECT_EQ(LimitOf(admission_.Enter("flood").status()), "max_calls");
  calls.push_back(Call("other"));
  EXPECT_EQ(admission_.calls(), 16);
  EXPECT_EQ(LimitOf(admission_.Enter("other").status()), "max_calls");
}

TEST_F(CallAdmissionTest, ACallerOfWhomTooManyWaitIsRefusedUntilNoneDoes) {
  std::vector<Place> calls;
  for (int i = 0; i < 9; ++i) calls.push_back(Call("flood"));  // Two on their way, seven that wait.
  EXPECT_FALSE(admission_.Enter("flood").ok());
  for (size_t i = 0; i < 7; ++i) {
    EXPECT_EQ(LimitOf(admission_.Enter("flood").status()), "max_waiting_calls") << i;
    calls[i]->Answer(absl::OkStatus());
  }
  EXPECT_EQ(turns_.size(), 9u);
  calls.push_back(Call("flood"));
  EXPECT_TRUE(admission_.Enter("flood").ok()) << "one waits, and it is the first";
}

// Of those who come at once: as many as the model's own admission would take.
TEST_F(CallAdmissionTest, NoMoreSetOutThanTheModelHasPlacesFor) {
  CallAdmission admission({.max_entering = 32});
  const ModelPlaces places = {.max_running = 4, .max_waiting = 16};
  std::vector<Place> calls;
  const auto enter = [&](const std::string& caller, const ModelPlaces& known) {
    auto place = admission.Enter(caller, known);
    if (!place.ok()) return LimitOf(place.status());
    calls.push_back(*std::move(place));
    calls.back()->AskForTurn([](const absl::Status&) {});
    return std::string();
  };
  for (int i = 0; i < 4 + 14; ++i) EXPECT_EQ(enter("a", places), "") << i;
  EXPECT_EQ(enter("a", places), "max_waiting");
  EXPECT_EQ(enter("a", {.max_running = 8, .max_waiting = 32}), "") << "two replicas";
  EXPECT_EQ(enter("a", {}), "") << "nobody knows";
  EXPECT_EQ(enter("b", places), "max_waiting");
  for (const Place& call : calls) call->Answer(absl::OkStatus());
  EXPECT_EQ(enter("a", places), "") << "nobody is on the way: the model is asked";
}

TEST_F(CallAdmissionTest, WhatTheModelSaidCountsForThoseWhoWouldWaitToo) {
  for (int i = 0; i < 4; ++i) Call("a")->Answer(Refusal(absl::Seconds(10)));
  now_ += absl::Seconds(1);
  std::vector<Place> calls;
  for (int i = 0; i < 9; ++i) calls.push_back(Call("a"));
  EXPECT_EQ(RetryDelay(admission_.Enter("a").status()), absl::Seconds(9));
}

TEST_F(CallAdmissionTest, WhoFillsTheModelIsToldWhenItWillHaveAPlace) {
  CallAdmission admission({.max_entering = 4}, [this] { return now_; });
  const Place call = *admission.Enter("a", {});
  call->AskForTurn([](const absl::Status&) {});  // It stays on its way.
  const auto told = [&](const std::string& caller, std::optional<absl::Duration> wait) {
    return RetryDelay(
        admission.Enter(caller, {.max_running = 1, .max_waiting = 0, .wait_when_full = wait})
            .status());
  };
  EXPECT_EQ(told("a", std::nullopt), absl::Milliseconds(100)) << "nobody knows";
  EXPECT_EQ(told("a", absl::Seconds(7)), absl::Seconds(7));
  EXPECT_EQ(told("a", absl::Milliseconds(30)), absl::Milliseconds(30)) << "less than unknown";
  EXPECT_EQ(told("a", absl::ZeroDuration()), absl::Milliseconds(10)) << "as the model";
  EXPECT_EQ(told("a", absl::Hours(5)), absl::Hours(1)) << "as the model";

  // What the model has said to the caller counts if it is more.
  const Place refused = *admission.Enter("b", {});
  refused->AskForTurn([](const absl::Status&) {});
  refused->Answer(Refusal(absl::Seconds(10)));
  now_ += absl::Seconds(1);
  EXPECT_EQ(told("b", absl::Seconds(7)), absl::Seconds(9));
  EXPECT_EQ(told("b", absl::Seconds(12)), absl::Seconds(12));
  EXPECT_EQ(told("b", std::nullopt), absl::Seconds(9));
  EXPECT_EQ(told("a", absl::Seconds(7)), absl::Seconds(7)) << "it was not told to the other";
  now_ += absl::Seconds(8.96);
  EXPECT_EQ(told("b", std::nullopt), absl::Milliseconds(40)) << "this is known";
}

TEST_F(CallAdmissionTest, CallersThatCameOnceAreForgotten) {
  for (int i = 0; i < 5000; ++i) {
    Call("caller " + std::to_string(i))->Answer(Refusal(absl::Milliseconds(10)));
    now_ += absl::Milliseconds(1);
  }
  EXPECT_EQ(turns_.size(), 5000u);
}

// Every call hears exactly once what becomes of it, whoever answers, withdraws or leaves meanwhile.
TEST(CallAdmissionThreadsTest, EveryCallHasOneTurnOrNone) {
#ifdef LNB_SANITIZED
  constexpr int kCalls = 400;
#else
  constexpr int kCalls = 4000;
#endif
  CallAdmission admission({.max_calls = 40, .max_entering = 3, .max_waiting = 12});
  std::atomic<int> refused = 0, given = 0, ended = 0, withdrawn = 0;
  std::vector<std::jthread> threads;
  for (unsigned seed = 0; seed < 6; ++seed) {
    threads.emplace_back([&, seed] {
      std::minstd_rand random(seed + 1);
      std::vector<Place> open;
      for (int i = 0; i < kCalls; ++i) {
        auto entered = admission.Enter(std::to_string(random() % 3));
        if (!entered.ok()) {
          ++refused;
        } else {
          const Place place = *std::move(entered);
          const unsigned kind = random() % 4;
          // Answers within its turn, or is left to this thread.
          place->AskForTurn([&, kind, self = place](const absl::Status& status) {
            ++(status.ok() ? given : ended);
            if (kind == 0) self->Answer(Refusal(absl::Milliseconds(1)));
            if (kind == 1) self->Answer(absl::OkStatus());
          });
          open.push_back(place);
        }
        if (open.size() > 5 || i == kCalls - 1) {
          for (const Place& call : open) {
            if (call->Withdraw()) ++withdrawn;
            call->Answer(random() % 2 == 0 ? absl::OkStatus() : Refusal(absl::Milliseconds(1)));
          }
          open.clear();
        }
      }
    });
  }
  threads.clear();
  EXPECT_EQ(admission.calls(), 0);
  EXPECT_EQ(refused + given + ended + withdrawn, 6 * kCalls);
  EXPECT_GT(given, 0);
}

}  // namespace
}  // namespace llama
