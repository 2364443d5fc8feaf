#include <chrono>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/proto_duration.h"
#include "common/status_details.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/services/gateway/fake_backends.h"
#include "tests/services/gateway/gateway_under_test.h"

namespace llama {
namespace {

using testing::ElementsAre;

class GenerateTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(gateway_.Await(true)); }

  Reply Ask(const v1::GenerateRequest& request) { return Generate(gateway_.stub(), request); }

  FakeTokenizer tokenizer_;
  FakeModel model_;
  FakeServer tokenizer_server_{tokenizer_};
  FakeServer model_server_{model_};
  GatewayUnderTest gateway_{tokenizer_server_.address(), model_server_.address()};
};

TEST_F(GenerateTest, TheStreamIsAcceptedThenProgressThenPromptThenDeltasThenFinished) {
  model_.SetScript([](grpc::ServerContext&, FakeModel::Writer& writer) {
    WriteAccepted(writer);
    v1::ModelServiceGenerateResponse response;
    response.mutable_progress()->mutable_prefill()->set_tokens_total(2);
    writer.Write(response);
    response.mutable_prompt()->add_tokens()->set_id(kHello);
    writer.Write(response);
    WriteTokens(writer, {kHello});
    WriteTokens(writer, {kWorld, kMark});
    WriteFinished(writer, v1::FINISH_REASON_EOS);
    return grpc::Status::OK;
  });
  v1::GenerateRequest request = TextRequest();
  request.set_request_id("call-1_A");
  const Reply reply = Ask(request);
  ASSERT_TRUE(reply.status.ok()) << reply.status;
  ASSERT_EQ(reply.messages.size(), 6u);
  for (size_t i = 0; i < reply.messages.size(); ++i) {
    EXPECT_EQ(reply.messages[i].sequence(), static_cast<int64_t>(i));
  }
  const v1::GenerationAccepted& accepted = reply.messages[0].accepted();
  EXPECT_EQ(accepted.request_id(), "call-1_A");
  EXPECT_EQ(accepted.rendered_prompt(), "rendered");
  EXPECT_EQ(accepted.accepted().prompt_tokens(), 2);
  EXPECT_EQ(accepted.accepted().model().name(), "fake");
  EXPECT_EQ(accepted.accepted().model().tokenizer_digest(), "tokenizer digest");
  EXPECT_EQ(reply.messages[1].progress().prefill().tokens_total(), 2);
  EXPECT_EQ(reply.messages[2].prompt().tokens(0).piece(), " Hello");
  EXPECT_EQ(reply.messages[2].prompt().tokens(0).spelling(), "spelling 3");
  EXPECT_EQ(reply.messages[3].delta().text(), " Hello");
  EXPECT_EQ(reply.messages[4].delta().text(), " world!");
  EXPECT_EQ(reply.finished().reason(), v1::FINISH_REASON_EOS);
  EXPECT_EQ(reply.finished().stop_token_id(), kEos);
  EXPECT_EQ(reply.finished().usage().completion_tokens(), 77);
  EXPECT_EQ(reply.finished().timings().prefill().nanos(), 5);
}

TEST_F(GenerateTest, ACallWithoutAnIdGetsOneOfItsOwn) {
  model_.SetScript(Replies({}));
  const std::string first = Ask(TextRequest()).messages.at(0).accepted().request_id();
  const std::string second = Ask(TextRequest()).messages.at(0).accepted().request_id();
  EXPECT_FALSE(first.empty());
  EXPECT_NE(first, second);
}

TEST_F(GenerateTest, TheModelGetsTheEncodedPromptAndEverythingButTheStopSequences) {
  model_.SetScript(Replies({}));
  v1::GenerateRequest request = TextRequest({"STOP"});
  request.set_cache_salt("salt");
  request.mutable_sampling()->set_seed(5);
  request.mutable_stopping()->set_min_tokens(2);
  request.mutable_stopping()->set_max_total_tokens(9);
  request.mutable_stopping()->mutable_time_limit()->set_seconds(100);
  request.mutable_output()->set_top_candidates(3);
  request.mutable_output()->set_progress(true);
  ASSERT_TRUE(Ask(request).status.ok());
  const v1::ModelServiceGenerateRequest got = model_.last_request();
  EXPECT_THAT(got.prompt_token_ids(), ElementsAre(kBos, kHello));
  EXPECT_THAT(got.eos_token_ids(), ElementsAre(kEos));
  EXPECT_EQ(got.cache_salt(), "salt");
  EXPECT_EQ(got.sampling().seed(), 5u);
  EXPECT_EQ(got.stopping().min_tokens(), 2);
  EXPECT_EQ(got.stopping().max_total_tokens(), 9);
  EXPECT_EQ(got.stopping().stop_sequences_size(), 0);
  // What encoding took is off the limit.
  EXPECT_LT(got.stopping().time_limit().seconds(), 100);
  EXPECT_GE(got.stopping().time_limit().seconds(), 0);
  EXPECT_EQ(got.output().top_candidates(), 3);
  EXPECT_TRUE(got.output().progress());
  EXPECT_EQ(tokenizer_.last_encode().prompt().text(), "text");
}

TEST_F(GenerateTest, ATimeLimitThatEncodingUsedUpIsAMoment) {
  model_.SetScript(Replies({}));
  v1::GenerateRequest request = TextRequest();
  request.mutable_stopping()->mutable_time_limit()->set_nanos(2);
  ASSERT_TRUE(Ask(request).status.ok());
  EXPECT_EQ(model_.last_request().stopping().time_limit().seconds(), 0);
  EXPECT_EQ(model_.last_request().stopping().time_limit().nanos(), 1);
}

TEST_F(GenerateTest, ACompletionKeepsItsLeadingBlankAndAChatDoesNot) {
  model_.SetScript(Replies({{kHello}}));
  Ask(TextRequest());
  EXPECT_TRUE(tokenizer_.kept_leading_space());
  v1::GenerateRequest request;
  request.mutable_prompt()->mutable_chat()->add_messages()->set_content("hi");
  Ask(request);
  EXPECT_FALSE(tokenizer_.kept_leading_space());
  request.mutable_prompt()->mutable_token_ids()->add_ids(kHello);
  Ask(request);
  EXPECT_TRUE(tokenizer_.kept_leading_space());
}

TEST_F(GenerateTest, TokensComeWithPiecesSpellingsCandidatesAndHeldBytes) {
  model_.SetScript([](grpc::ServerContext&, FakeModel::Writer& writer) {
    WriteAccepted(writer);
    v1::ModelServiceGenerateResponse response;
    v1::Token& token = *response.mutable_tokens()->add_tokens();
    token.set_id(kHello);
    token.set_logprob(-1.5f);
    token.add_candidates()->set_id(kWorld);
    writer.Write(response);
    WriteTokens(writer, {kF0});
    WriteTokens(writer, {k9F, k98});
    WriteTokens(writer, {k80});
    WriteFinished(writer, v1::FINISH_REASON_MAX_TOKENS);
    return grpc::Status::OK;
  });
  v1::GenerateRequest request = TextRequest();
  request.mutable_output()->set_tokens(true);
  const Reply reply = Ask(request);
  ASSERT_EQ(reply.messages.size(), 6u);
  const v1::Delta& hello = reply.messages[1].delta();
  EXPECT_EQ(hello.tokens(0).piece(), " Hello");
  EXPECT_EQ(hello.tokens(0).spelling(), "spelling 3");
  EXPECT_EQ(hello.tokens(0).logprob(), -1.5f);
  EXPECT_EQ(hello.tokens(0).candidates(0).piece(), " world");
  EXPECT_EQ(hello.held(), "");
  EXPECT_EQ(reply.messages[2].delta().text(), "");
  EXPECT_EQ(reply.messages[2].delta().held(), "\xF0");
  EXPECT_EQ(reply.messages[3].delta().held(), "\xF0\x9F\x98");
  EXPECT_EQ(reply.messages[3].delta().tokens_size(), 2);
  EXPECT_EQ(reply.messages[4].delta().text(), "\U0001F600");
  EXPECT_EQ(reply.messages[4].delta().held(), "");
  EXPECT_EQ(reply.finished().reason(), v1::FINISH_REASON_MAX_TOKENS);
}

TEST_F(GenerateTest, WithoutTokensADeltaAlwaysHasText) {
  model_.SetScript(Replies({{kF0}, {k9F}, {k98}, {k80}, {kSt}, {kMark}}));
  for (const v1::GenerateRequest& request : {TextRequest(), TextRequest({"STOP"})}) {
    const Reply reply = Ask(request);
    EXPECT_EQ(reply.text(), "\U0001F600ST!");
    for (const v1::GenerateResponse& message : reply.messages) {
      if (message.has_delta()) {
        EXPECT_NE(message.delta().text(), "");
      }
    }
  }
}

TEST_F(GenerateTest, AReplyThatEndsInsideACharacterEndsWithReplacements) {
  model_.SetScript(Replies({{kHello}, {kF0, k9F}}));
  for (const v1::GenerateRequest& request : {TextRequest(), TextRequest({"STOP"})}) {
    const Reply reply = Ask(request);
    EXPECT_EQ(reply.text(), " Hello\uFFFD\uFFFD");
    EXPECT_EQ(reply.finished().reason(), v1::FINISH_REASON_EOS);
  }
}

TEST_F(GenerateTest, AnEmptyReplyIsAcceptedAndFinished) {
  model_.SetScript(Replies({}));
  const Reply reply = Ask(TextRequest({"STOP"}));
  EXPECT_TRUE(reply.status.ok());
  ASSERT_EQ(reply.messages.size(), 2u);
  EXPECT_EQ(reply.finished().reason(), v1::FINISH_REASON_EOS);
}

TEST_F(GenerateTest, AStopSequenceAcrossTokensEndsTheReplyAndTheModelsCall) {
  model_.SetScript([](grpc::ServerContext& context, FakeModel::Writer& writer) {
    WriteAccepted(writer);
    WriteTokens(writer, {kHello});
    WriteTokens(writer, {kMark, kSt});
    WriteTokens(writer, {kOp, kWorld});
    return AwaitCancelled(context);  // It would go on.
  });
  v1::GenerateRequest request = TextRequest({"!STO"});
  request.mutable_output()->set_tokens(true);
  const Reply reply = Ask(request);
  ASSERT_TRUE(reply.status.ok()) << reply.status;
  EXPECT_EQ(reply.text(), " Hello");
  EXPECT_THAT(reply.tokens(), ElementsAre(kHello));
  EXPECT_EQ(reply.finished().reason(), v1::FINISH_REASON_STOP_SEQUENCE);
  EXPECT_EQ(reply.finished().stop_sequence(), "!STO");
  EXPECT_EQ(reply.finished().usage().prompt_tokens(), 2);
  EXPECT_EQ(reply.finished().usage().completion_tokens(), 4);
  EXPECT_TRUE(model_.AwaitOver(1));
  EXPECT_TRUE(gateway_.AwaitEmpty());
}

// What the model counted, with these times: 1 s to the first token, 2 s in all.
FakeModel::Script RepliesInTime(std::vector<std::vector<uint32_t>> messages) {
  return [messages = std::move(messages)](grpc::ServerContext&, FakeModel::Writer& writer) {
    WriteAccepted(writer);
    v1::ModelServiceGenerateResponse response;
    for (const std::vector<uint32_t>& ids : messages) {
      response.mutable_tokens()->clear_tokens();
      for (const uint32_t id : ids) response.mutable_tokens()->add_tokens()->set_id(id);
      writer.Write(response);
    }
    v1::ModelFinished& finished = *response.mutable_finished();
    finished.mutable_usage()->set_cached_prompt_tokens(1);
    v1::Timings& timings = *finished.mutable_timings();
    timings.mutable_queue()->set_nanos(7);
    timings.mutable_prefill()->set_nanos(5);
    timings.set_prefill_tokens_per_second(3);
    if (!messages.empty()) timings.mutable_time_to_first_token()->set_seconds(1);
    timings.mutable_total()->set_seconds(2);
    writer.Write(response);
    return grpc::Status::OK;
  };
}

TEST_F(GenerateTest, TimesCountWhatComesBeforeTheModel) {
  model_.SetScript(RepliesInTime({{kHello}}));
  const v1::Timings timings = Ask(TextRequest()).finished().timings();
  EXPECT_GT(FromProto(timings.time_to_first_token()), absl::Seconds(1));
  EXPECT_EQ(FromProto(timings.total()) - FromProto(timings.time_to_first_token()),
            absl::Seconds(1));
  EXPECT_EQ(timings.queue().nanos(), 7);
  model_.SetScript(RepliesInTime({}));
  const v1::Timings empty = Ask(TextRequest()).finished().timings();
  EXPECT_EQ(FromProto(empty.time_to_first_token()), absl::ZeroDuration()) << "there is none";
  EXPECT_GT(FromProto(empty.total()), absl::Seconds(2));
}

// Only the end of the reply completes it, with the replacement of a byte.
TEST_F(GenerateTest, AStopSequenceFoundAfterTheModelsEndHasWhatTheModelCounted) {
  model_.SetScript(RepliesInTime({{kHello}, {kF0}}));
  const v1::Finished finished = Ask(TextRequest({"\uFFFD"})).finished();
  EXPECT_EQ(finished.reason(), v1::FINISH_REASON_STOP_SEQUENCE);
  EXPECT_EQ(finished.usage().cached_prompt_tokens(), 1);
  EXPECT_EQ(finished.usage().completion_tokens(), 2);
  EXPECT_EQ(finished.timings().queue().nanos(), 7);
  EXPECT_EQ(finished.timings().prefill().nanos(), 5);
  EXPECT_EQ(finished.timings().prefill_tokens_per_second(), 3);
}

TEST_F(GenerateTest, ACallWithoutADeadlineGetsNone) {
  auto deadline = std::chrono::system_clock::time_point::min();
  model_.SetScript([&deadline](grpc::ServerContext& context, FakeModel::Writer& writer) {
    deadline = context.deadline();
    WriteAccepted(writer);
    WriteFinished(writer, v1::FINISH_REASON_EOS);
    return grpc::Status::OK;
  });
  grpc::ClientContext context;
  const auto reader = gateway_.stub().Generate(&context, TextRequest());
  for (v1::GenerateResponse message; reader->Read(&message);) {
  }
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(deadline, std::chrono::system_clock::time_point::max());
}

// Decoded one by one, for the sake of the stop sequences, but not sent so.
TEST_F(GenerateTest, TokensThatTheModelSendsTogetherComeTogether) {
  model_.SetScript(Replies({{kHello, kWorld, kMark}, {kHello, kSt, kOp, kWorld}}));
  v1::GenerateRequest request = TextRequest({"STOP"});
  request.mutable_output()->set_tokens(true);
  const Reply reply = Ask(request);
  ASSERT_EQ(reply.messages.size(), 4u);
  EXPECT_EQ(reply.messages[1].delta().text(), " Hello world!");
  EXPECT_EQ(reply.messages[1].delta().tokens_size(), 3);
  EXPECT_EQ(reply.messages[2].delta().text(), " Hello");
  EXPECT_EQ(reply.messages[2].delta().tokens_size(), 1);
  EXPECT_EQ(reply.finished().reason(), v1::FINISH_REASON_STOP_SEQUENCE);
}

TEST_F(GenerateTest, WhatOnlyBeganAsAStopSequenceIsNotLost) {
  model_.SetScript(Replies({{kHello}, {kSt}, {kSt}, {kMark}, {kSt}}));
  v1::GenerateRequest request = TextRequest({"STOP"});
  request.mutable_output()->set_tokens(true);
  const Reply reply = Ask(request);
  EXPECT_EQ(reply.text(), " HelloSTST!ST");
  EXPECT_THAT(reply.tokens(), ElementsAre(kHello, kSt, kSt, kMark, kSt));
  EXPECT_EQ(reply.finished().reason(), v1::FINISH_REASON_EOS);
}

TEST_F(GenerateTest, AStopSequenceThatBeginsBeforeMinTokensDoesNotCount) {
  model_.SetScript(Replies({{kSt, kOp, kHello, kSt, kOp}}));
  v1::GenerateRequest request = TextRequest({"STOP"});
  request.mutable_stopping()->set_min_tokens(1);
  EXPECT_EQ(Ask(request).text(), "STOP Hello");
}

TEST_F(GenerateTest, GetInfoReportsBothServices) {
  grpc::ClientContext context;
  v1::GetInfoRequest request;
  request.set_tensors(true);
  v1::GetInfoResponse response;
  const grpc::Status status = gateway_.stub().GetInfo(&context, request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.model().model().name(), "fake");
  EXPECT_EQ(response.model().model().tokenizer_digest(), "tokenizer digest");
  EXPECT_EQ(response.model().tensors_size(), 1);
  EXPECT_EQ(response.tokenizer().vocabulary_size(), kVocabularySize);
  EXPECT_EQ(response.compute_plan().threads(), 3);
}

TEST_F(GenerateTest, ARequestBeyondItsLimitsIsRefusedBeforeAnyServiceIsAsked) {
  v1::GenerateRequest request = TextRequest();
  request.mutable_prompt()->set_text(std::string(kMaxPromptBytes + 1, 'x'));
  EXPECT_EQ(GetReason(Ask(request).status), "PROMPT_TOO_LONG");
  const Reply reply = Ask(TextRequest({""}));
  EXPECT_EQ(reply.status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(GetDetail<google::rpc::BadRequest>(reply.status)->field_violations(0).field(),
            "stopping.stop_sequences[0]");
  EXPECT_EQ(tokenizer_.last_encode().prompt().text(), "");
}

// The model sees the gateway's address only; its fair shares are for the gateway's callers.
TEST_F(GenerateTest, TheModelLearnsOnWhoseBehalfACallIsAndNoToken) {
  std::string caller;
  model_.SetScript([&caller](grpc::ServerContext& context, FakeModel::Writer& writer) {
    const auto found = context.client_metadata().find("llama-caller");
    if (found != context.client_metadata().end()) {
      caller.assign(found->second.data(), found->second.size());
    }
    WriteAccepted(writer);
    WriteFinished(writer, v1::FINISH_REASON_EOS);
    return grpc::Status::OK;
  });
  const auto ask = [&](GatewayUnderTest& gateway, const std::string& token) {
    grpc::ClientContext context;
    if (!token.empty()) context.AddMetadata("authorization", token);
    const auto reader = gateway.stub().Generate(&context, TextRequest());
    for (v1::GenerateResponse message; reader->Read(&message);) {
    }
    EXPECT_TRUE(reader->Finish().ok());
    return caller;
  };
  EXPECT_EQ(ask(gateway_, ""), "ipv4:127.0.0.1");
  // Nobody has checked it: one client could be many otherwise.
  EXPECT_EQ(ask(gateway_, "Bearer alice"), "ipv4:127.0.0.1");
  GatewayUnderTest checking(tokenizer_server_.address(), model_server_.address(),
                            {.access = {.tokens_are_checked = true}});
  ASSERT_TRUE(checking.Await(true));
  const std::string alice = ask(checking, "Bearer alice");
  EXPECT_THAT(alice, testing::StartsWith("token:"));
  EXPECT_THAT(alice, testing::Not(testing::HasSubstr("alice")));
  EXPECT_EQ(ask(checking, "Bearer alice"), alice);
  EXPECT_NE(ask(checking, "Bearer bob"), alice);
}

// A server lets 100 streams of a connection in; more calls must neither wait behind them nor keep
// the gateway from asking how its backends are.
TEST_F(GenerateTest, MoreCallsThanAConnectionCarriesGetAnother) {
  Mutex mutex;
  bool go_on = false;
  model_.SetScript([&](grpc::ServerContext&, FakeModel::Writer& writer) {
    WriteAccepted(writer);
    // Not held any more when the reply is over, and with it perhaps the test.
    {
      MutexLock lock(&mutex, [&] { return go_on; });
    }
    WriteFinished(writer, v1::FINISH_REASON_EOS);
    return grpc::Status::OK;
  });
  // Of the clients, too, each has as many on a connection as that carries.
  const auto other = v1::GatewayService::NewStub(CreateChannel(gateway_.server().address()));
  std::vector<std::thread> clients;
  constexpr int64_t kCalls = 110;
  for (int64_t i = 0; i < kCalls; ++i) {
    clients.emplace_back([&, i] {
      EXPECT_TRUE(Generate(i % 2 == 0 ? *other : gateway_.stub(), TextRequest()).status.ok());
    });
  }
  EXPECT_TRUE(model_.AwaitBegun(kCalls)) << "all at the same time";
  EXPECT_EQ(gateway_.model_connections(), 2);
  {
    MutexLock lock(&mutex);
    go_on = true;
  }
  for (std::thread& client : clients) client.join();
  EXPECT_TRUE(gateway_.AwaitEmpty());
  EXPECT_TRUE(Ask(TextRequest()).status.ok());
}

}  // namespace
}  // namespace llama
