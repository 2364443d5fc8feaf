// The tokenizer's rpcs over TCP, with the small model's vocabulary behind them.
#include "services/tokenizer/tokenizer_service.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/rpc/channel.h"
#include "common/rpc/grpc_status.h"
#include "common/rpc/server.h"
#include "common/status_details.h"
#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/grpcpp.h"
#include "gtest/gtest.h"
#include "services/limits/request_limits.h"
#include "services/tokenizer/tokenizer_messages.h"
#include "tests/support/temp_folder.h"
#include "tests/support/vocabulary_writer.h"

namespace llama {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr int64_t kMaxPromptBytes = 200'000;

template <typename Message>
Message Parse(const std::string& text) {
  Message message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message)) << text;
  return message;
}

std::string Field(const absl::Status& status) {
  const auto detail = GetDetail<google::rpc::BadRequest>(status);
  return detail.has_value() ? detail->field_violations(0).field() : "";
}

class TokenizerServiceTest : public testing::Test {
 protected:
  TokenizerServiceTest()
      : service_(gate_),
        server_(Server::Start({}, {{"llama.v1.TokenizerService", &service_}}, gate_).value()),
        channel_(CreateChannel(server_->address())),
        stub_(v1::TokenizerService::NewStub(channel_)) {}
  ~TokenizerServiceTest() override { server_->Drain(); }

  void Load(const std::string& path = absl::StrCat(LLAMA_TEST_DATA,
                                                   "/stories260K/tokenizer.model")) {
    tokenizer_ = Tokenizer::Load(path, kMaxPromptBytes).value();
    service_.SetTokenizer(tokenizer_.get());
    gate_.SetServing();
  }

  template <typename Request, typename Response>
  using Rpc = grpc::Status (v1::TokenizerService::Stub::*)(grpc::ClientContext*, const Request&,
                                                           Response*);
  template <typename Request, typename Response>
  absl::StatusOr<Response> Call(Rpc<Request, Response> rpc, const Request& request) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(20)));
    Response response;
    const absl::Status status = FromGrpcStatus((*stub_.*rpc)(&context, request, &response));
    if (!status.ok()) return status;
    return response;
  }
  absl::StatusOr<v1::EncodeResponse> Encode(const v1::EncodeRequest& request) {
    return Call(&v1::TokenizerService::Stub::Encode, request);
  }
  absl::StatusOr<v1::EncodeResponse> Encode(const std::string& request) {
    return Encode(Parse<v1::EncodeRequest>(request));
  }
  absl::StatusOr<v1::DecodeResponse> Decode(const v1::DecodeRequest& request) {
    return Call(&v1::TokenizerService::Stub::Decode, request);
  }
  absl::StatusOr<v1::ListTokensResponse> ListTokens(const std::string& request) {
    return Call(&v1::TokenizerService::Stub::ListTokens, Parse<v1::ListTokensRequest>(request));
  }

  ServingGate gate_;
  std::unique_ptr<const Tokenizer> tokenizer_;  // Outlives the server.
  TokenizerServiceImpl service_;
  std::unique_ptr<Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::TokenizerService::Stub> stub_;
};

TEST_F(TokenizerServiceTest, EveryRpcIsRefusedWhileLoadingAndWhileDraining) {
  const auto expect_refused = [this](const std::string& reason) {
    const auto expect = [&reason](const absl::Status& status) {
      EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
      EXPECT_EQ(GetReason(status), reason);
    };
    expect(Encode("prompt {text: 'a'}").status());
    expect(Decode({}).status());
    expect(ListTokens("").status());
    expect(Call(&v1::TokenizerService::Stub::GetTokenizerInfo, v1::GetTokenizerInfoRequest())
               .status());
    grpc::ClientContext context;
    const auto stream = stub_->DecodeStream(&context);
    v1::DecodeStreamResponse response;
    EXPECT_FALSE(stream->Read(&response));
    expect(FromGrpcStatus(stream->Finish()));
  };
  expect_refused("LOADING");
  Load();
  EXPECT_TRUE(Encode("prompt {text: 'a'}").ok());
  gate_.SetDraining();
  expect_refused("DRAINING");
}

TEST_F(TokenizerServiceTest, InfoDescribesTheVocabulary) {
  Load();
  const auto info =
      Call(&v1::TokenizerService::Stub::GetTokenizerInfo, v1::GetTokenizerInfoRequest());
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->format(), v1::TOKENIZER_FORMAT_SENTENCEPIECE_BPE);
  EXPECT_EQ(info->vocabulary_size(), 512);
  EXPECT_EQ(info->bos_token_id(), 1u);
  EXPECT_THAT(info->eos_token_ids(), ElementsAre(2));
  EXPECT_EQ(info->unknown_token_id(), 0u);
  // As tests/data/README.md states it.
  EXPECT_EQ(info->digest(), "ed05c41f7192557b2160d75748a7acd21a62afa8d0fb8e230b1129a1d10da48b");
  EXPECT_EQ(info->max_prompt_bytes(), kMaxPromptBytes);
}

TEST_F(TokenizerServiceTest, TextIsEncodedWithAndWithoutBos) {
  Load();
  const auto with = Encode("prompt {text: 'Once upon'}");
  ASSERT_TRUE(with.ok()) << with.status();
  EXPECT_EQ(with->ids(0), 1u);
  EXPECT_EQ(with->rendered_prompt(), "Once upon");
  EXPECT_THAT(with->eos_token_ids(), ElementsAre(2));
  EXPECT_THAT(with->tokens(), IsEmpty()) << "not asked for";
  EXPECT_THAT(with->role_spans(), IsEmpty());
  const auto without = Encode("prompt {text: 'Once upon'} add_bos: false");
  std::vector<uint32_t> ids = {1};
  ids.insert(ids.end(), without->ids().begin(), without->ids().end());
  EXPECT_EQ(std::vector<uint32_t>(with->ids().begin(), with->ids().end()), ids);
  EXPECT_THAT(Encode("prompt {text: ''}")->ids(), ElementsAre(1));
}

TEST_F(TokenizerServiceTest, OffsetsAreInTheUnitThatWasAskedFor) {
  Load();
  // 1 + 2 + 4 + 1 bytes, 4 characters, 5 units of UTF-16. The eyes fall back to four bytes.
  const std::string prompt = "prompt {text: 'a\\303\\251\\360\\237\\221\\200b'} tokens: true ";
  struct Case {
    std::string unit;
    int64_t eyes_begin, eyes_end, end;
  };
  for (const Case& want : {Case{"", 3, 7, 8}, Case{"offset_unit: OFFSET_UNIT_BYTE", 3, 7, 8},
                           Case{"offset_unit: OFFSET_UNIT_CODE_POINT", 2, 3, 4},
                           Case{"offset_unit: OFFSET_UNIT_UTF16", 2, 4, 5}}) {
    const auto encoded = Encode(prompt + want.unit);
    ASSERT_TRUE(encoded.ok()) << encoded.status();
    ASSERT_EQ(encoded->tokens_size(), encoded->ids_size());
    int parts = 0;
    for (int i = 0; i < encoded->tokens_size(); ++i) {
      const v1::EncodedToken& token = encoded->tokens(i);
      EXPECT_EQ(token.token().id(), encoded->ids(i));
      parts += token.begin() == want.eyes_begin && token.end() == want.eyes_end ? 1 : 0;
    }
    EXPECT_EQ(parts, 4) << want.unit;
    EXPECT_EQ(encoded->tokens(0).token().spelling(), "<s>");
    EXPECT_EQ(encoded->tokens(0).end(), 0);
    EXPECT_EQ(encoded->tokens().rbegin()->end(), want.end) << want.unit;
  }
}

TEST_F(TokenizerServiceTest, IdsThatBreakCharactersCoverWhatTheyBecome) {
  Load();
  // "é" in bytes, a byte that is no character, the first two bytes of an emoji, then "b".
  const Vocabulary& vocabulary = tokenizer_->vocabulary();
  v1::EncodeRequest request = Parse<v1::EncodeRequest>("tokens: true");
  for (const uint8_t byte : {0xC3, 0xA9, 0xFF, 0xF0, 0x9F}) {
    request.mutable_prompt()->mutable_token_ids()->add_ids(vocabulary.byte(byte));
  }
  request.mutable_prompt()->mutable_token_ids()->add_ids(*vocabulary.FindText("b"));
  const auto encoded = Encode(request);
  ASSERT_TRUE(encoded.ok()) << encoded.status();
  EXPECT_EQ(encoded->rendered_prompt(), "é\uFFFD\uFFFD\uFFFDb");
  std::vector<std::pair<int64_t, int64_t>> ranges;
  for (const v1::EncodedToken& token : encoded->tokens()) {
    ranges.emplace_back(token.begin(), token.end());
  }
  using P = std::pair<int64_t, int64_t>;
  EXPECT_THAT(ranges, ElementsAre(P(0, 2), P(0, 2), P(2, 5), P(5, 8), P(8, 11), P(11, 12)));
}

// What the client library would not send: a string that is not valid UTF-8.
TEST_F(TokenizerServiceTest, TextThatIsNotUtf8IsRefusedAndTheServerGoesOn) {
  Load();
  const std::string bytes = "\x0A\x04\x0A\x02\xC3\x28";  // prompt { text: "\xC3(" }
  grpc::GenericStub stub(channel_);
  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  const grpc::Slice slice(bytes);
  const auto call = stub.PrepareUnaryCall(&context, "/llama.v1.TokenizerService/Encode",
                                          grpc::ByteBuffer(&slice, 1), &queue);
  call->StartCall();
  grpc::ByteBuffer response;
  grpc::Status status;
  call->Finish(&response, &status, this);
  void* tag = nullptr;
  bool ok = false;
  ASSERT_TRUE(queue.Next(&tag, &ok));
  EXPECT_FALSE(status.ok());
  EXPECT_TRUE(Encode("prompt {text: 'a'}").ok());
}

TEST_F(TokenizerServiceTest, AChatTellsWhichIdsAreWhose) {
  Load();
  const auto encoded = Encode(
      "prompt {chat {messages {role: ROLE_SYSTEM content: 'Be brief'}"
      "              messages {role: ROLE_USER content: ' Hi '}"
      "              messages {role: ROLE_ASSISTANT content: 'Yes'}"
      "              messages {role: ROLE_USER content: ''}}}");
  ASSERT_TRUE(encoded.ok()) << encoded.status();
  EXPECT_EQ(encoded->rendered_prompt(),
            "[INST] <<SYS>>\nBe brief\n<</SYS>>\n\nHi [/INST] Yes [INST]  [/INST]");
  int64_t next = 0;
  std::vector<v1::Role> roles;
  for (const v1::RoleSpan& span : encoded->role_spans()) {
    EXPECT_EQ(span.begin(), next);
    next = span.end();
    if (span.role() == v1::ROLE_UNSPECIFIED) continue;
    roles.push_back(span.role());
    v1::DecodeRequest content;
    content.mutable_ids()->Add(encoded->ids().begin() + span.begin(),
                               encoded->ids().begin() + span.end());
    const std::string text = Decode(content)->text();
    const std::vector<std::string> expected = {"Be brief", "Hi", "Yes", ""};
    EXPECT_THAT(text, HasSubstr(expected[roles.size() - 1]));
    if (expected[roles.size() - 1].empty()) {
      EXPECT_EQ(span.begin(), span.end()) << "an empty message has no tokens";
    }
  }
  EXPECT_EQ(next, encoded->ids_size());
  EXPECT_THAT(roles,
              ElementsAre(v1::ROLE_SYSTEM, v1::ROLE_USER, v1::ROLE_ASSISTANT, v1::ROLE_USER));
}

TEST_F(TokenizerServiceTest, WrongEncodeRequestsNameTheField) {
  Load();
  const auto expect = [this](const std::string& request, const std::string& reason,
                             const std::string& field) {
    const absl::Status status = Encode(request).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << request;
    EXPECT_EQ(GetReason(status), reason) << request;
    EXPECT_EQ(Field(status), field) << request;
  };
  expect("", "FIELD_INVALID", "prompt");
  expect("prompt {}", "FIELD_INVALID", "prompt");
  expect("prompt {chat {}}", "FIELD_INVALID", "prompt.chat.messages");
  expect("prompt {chat {messages {content: 'x'}}}", "FIELD_INVALID", "prompt.chat.messages[0]");
  expect("prompt {chat {messages {role: ROLE_USER} messages {role: ROLE_USER}}}", "FIELD_INVALID",
         "prompt.chat.messages[1]");
  expect("prompt {token_ids {}}", "FIELD_INVALID", "prompt.token_ids.ids");
  expect("prompt {token_ids {ids: [1, 2, 512]}}", "FIELD_INVALID", "prompt.token_ids.ids[2]");
  expect("prompt {token_ids {ids: 4294967295}}", "FIELD_INVALID", "prompt.token_ids.ids[0]");
  expect(
      "prompt {chat {messages {role: ROLE_USER content: 'a <<SYS>> b'}}}"
      "control_text: CONTROL_TEXT_POLICY_REJECT",
      "CONTROL_TEXT", "prompt.chat.messages[0].content");
  v1::EncodeRequest request = Parse<v1::EncodeRequest>("prompt {text: 'a'}");
  request.set_offset_unit(static_cast<v1::OffsetUnit>(9));
  EXPECT_EQ(Field(Encode(request).status()), "offset_unit");
  request = Parse<v1::EncodeRequest>("prompt {text: 'a'}");
  request.set_control_text(static_cast<v1::ControlTextPolicy>(-1));
  EXPECT_EQ(Field(Encode(request).status()), "control_text");
  request = Parse<v1::EncodeRequest>("prompt {chat {messages {content: 'a'}}}");
  request.mutable_prompt()->mutable_chat()->mutable_messages(0)->set_role(static_cast<v1::Role>(7));
  EXPECT_EQ(Field(Encode(request).status()), "prompt.chat.messages[0]");
}

TEST_F(TokenizerServiceTest, PromptsAtTheirLimitPassAndBeyondItAreRefusedWithBothSizes) {
  Load();
  v1::EncodeRequest request;
  request.mutable_prompt()->set_text(std::string(kMaxPromptBytes, 'x'));
  EXPECT_TRUE(Encode(request).ok());
  request.mutable_prompt()->set_text(std::string(kMaxPromptBytes + 1, 'x'));
  const absl::Status status = Encode(request).status();
  EXPECT_EQ(GetReason(status), "PROMPT_TOO_LONG");
  const auto info = GetDetail<google::rpc::ErrorInfo>(status);
  EXPECT_EQ(info->metadata().at("bytes"), absl::StrCat(kMaxPromptBytes + 1));
  EXPECT_EQ(info->metadata().at("limit"), absl::StrCat(kMaxPromptBytes));

  request.Clear();
  v1::ChatMessage& message = *request.mutable_prompt()->mutable_chat()->add_messages();
  message.set_role(v1::ROLE_USER);
  message.set_content(std::string(kMaxPromptBytes + 1, 'x'));
  EXPECT_EQ(GetReason(Encode(request).status()), "PROMPT_TOO_LONG");
}

// What is small on the wire may be large when it is answered.
TEST_F(TokenizerServiceTest, RequestsThatAskForTooMuchAreRefusedByField) {
  Load();
  v1::EncodeRequest request;
  for (size_t i = 0; i < static_cast<size_t>(kChatMessages.most); ++i) {
    request.mutable_prompt()->mutable_chat()->add_messages()->set_role(
        i % 2 == 0 ? v1::ROLE_USER : v1::ROLE_ASSISTANT);
  }
  request.mutable_prompt()->mutable_chat()->mutable_messages()->RemoveLast();
  EXPECT_TRUE(Encode(request).ok());
  request.mutable_prompt()->mutable_chat()->add_messages()->set_role(v1::ROLE_ASSISTANT);
  request.mutable_prompt()->mutable_chat()->add_messages()->set_role(v1::ROLE_USER);
  EXPECT_EQ(Field(Encode(request).status()), "prompt.chat.messages");

  request.Clear();
  request.mutable_prompt()->mutable_token_ids()->mutable_ids()->Resize(kMaxPromptBytes, 400);
  EXPECT_EQ(GetReason(Encode(request).status()), "PROMPT_TOO_LONG") << "their text is too long";
  request.mutable_prompt()->mutable_token_ids()->mutable_ids()->Resize(kMaxPromptBytes + 1, 1);
  EXPECT_EQ(Field(Encode(request).status()), "prompt.token_ids.ids");

  // A text of characters that are tokens by themselves, so that there are too many to report.
  request.Clear();
  request.mutable_prompt()->set_text(std::string(70'000, '\x01'));
  EXPECT_TRUE(Encode(request).ok());
  request.set_tokens(true);
  EXPECT_EQ(Field(Encode(request).status()), "tokens");

  v1::DecodeRequest decode;
  decode.mutable_ids()->Resize(1'500'000, tokenizer_->vocabulary().byte('a'));
  EXPECT_TRUE(Decode(decode).ok());
  decode.mutable_ids()->Resize(2'000'001, tokenizer_->vocabulary().byte('a'));
  EXPECT_EQ(Field(Decode(decode).status()), "ids");
}

TEST_F(TokenizerServiceTest, DecodingGivesTextAndBytes) {
  Load();
  const auto encoded = Encode("prompt {text: 'Once \\360\\237\\221\\200 upon'} add_bos: false");
  v1::DecodeRequest request;
  *request.mutable_ids() = encoded->ids();
  EXPECT_EQ(Decode(request)->text(), "Once 👀 upon");
  EXPECT_EQ(Decode(request)->raw(), "Once 👀 upon");
  request.set_keep_leading_space(true);
  EXPECT_EQ(Decode(request)->text(), " Once 👀 upon");
  request.Clear();
  request.add_ids(tokenizer_->vocabulary().byte(0xF0));
  EXPECT_EQ(Decode(request)->text(), "\uFFFD");
  EXPECT_EQ(Decode(request)->raw(), "\xF0");
  request.add_ids(512);
  const absl::Status status = Decode(request).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(GetReason(status), "TOKEN_ID");
  const auto info = GetDetail<google::rpc::ErrorInfo>(status);
  EXPECT_EQ(info->metadata().at("id"), "512");
  EXPECT_EQ(info->metadata().at("vocabulary_size"), "512");
}

TEST_F(TokenizerServiceTest, PagesPutTogetherAreTheVocabulary) {
  Load();
  for (const int size : {1, 7, 511, 512, 10'000}) {
    uint32_t id = 0;
    std::string token;
    do {
      const auto page = ListTokens(absl::StrCat("page_size: ", size, " page_token: '", token, "'"));
      ASSERT_TRUE(page.ok()) << page.status();
      EXPECT_LE(page->entries_size(), size);
      for (const v1::VocabularyEntry& entry : page->entries()) {
        const Piece& piece = tokenizer_->vocabulary().piece(id);
        EXPECT_EQ(entry.id(), id++);
        EXPECT_EQ(entry.spelling(), piece.spelling);
        EXPECT_EQ(entry.piece(), piece.bytes);
        EXPECT_EQ(entry.score(), piece.score);
      }
      token = page->next_page_token();
    } while (!token.empty());
    EXPECT_EQ(id, 512u);
  }
  const auto first = ListTokens("");
  EXPECT_EQ(first->entries(0).type(), v1::TOKEN_TYPE_UNKNOWN);
  EXPECT_EQ(first->entries(1).type(), v1::TOKEN_TYPE_CONTROL);
  EXPECT_EQ(first->entries(3).type(), v1::TOKEN_TYPE_BYTE);
  EXPECT_EQ(first->entries(300).type(), v1::TOKEN_TYPE_NORMAL);
}

TEST_F(TokenizerServiceTest, WrongPagesAreRefusedByField) {
  Load();
  for (const char* const size : {"-1", "10001", "9223372036854775807", "-9223372036854775808"}) {
    EXPECT_EQ(Field(ListTokens(absl::StrCat("page_size: ", size)).status()), "page_size") << size;
  }
  for (const char* const token : {"512", "-1", "x", "4294967296", "1e2", "\\001"}) {
    EXPECT_EQ(Field(ListTokens(absl::StrCat("page_token: '", token, "'")).status()), "page_token")
        << token;
  }
}

TEST_F(TokenizerServiceTest, UserDefinedAndUnusedPiecesAreListedAsSuch) {
  const TempFolder folder;
  Load(folder.Write("tokenizer.model", MixedVocabulary().SerializeAsString()));
  int unused = 0;
  int user_defined = 0;
  const auto page = ListTokens("page_size: 10000");
  for (const v1::VocabularyEntry& entry : page->entries()) {
    unused += entry.type() == v1::TOKEN_TYPE_UNUSED ? 1 : 0;
    user_defined += entry.type() == v1::TOKEN_TYPE_USER_DEFINED ? 1 : 0;
  }
  EXPECT_EQ(unused, 4);
  EXPECT_EQ(user_defined, 5);
}

class DecodeStreamTest : public TokenizerServiceTest {
 protected:
  DecodeStreamTest() {
    Load();
    context_.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(20)));
    stream_ = stub_->DecodeStream(&context_);
  }
  v1::DecodeStreamResponse Push(const std::vector<uint32_t>& ids, bool keep = false) {
    v1::DecodeStreamRequest request;
    request.mutable_ids()->Add(ids.begin(), ids.end());
    request.set_keep_leading_space(keep);
    v1::DecodeStreamResponse response;
    EXPECT_TRUE(stream_->Write(request) && stream_->Read(&response));
    return response;
  }
  v1::DecodeStreamResponse End() {
    v1::DecodeStreamResponse response;
    EXPECT_TRUE(stream_->WritesDone() && stream_->Read(&response));
    v1::DecodeStreamResponse more;
    EXPECT_FALSE(stream_->Read(&more)) << "one answer to the half-close";
    EXPECT_TRUE(stream_->Finish().ok());
    return response;
  }
  uint32_t Byte(int byte) const {
    return tokenizer_->vocabulary().byte(static_cast<uint8_t>(byte));
  }

  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::DecodeStreamRequest, v1::DecodeStreamResponse>>
      stream_;
};

TEST_F(DecodeStreamTest, CharactersComeWhenTheyAreComplete) {
  EXPECT_EQ(Push({*tokenizer_->vocabulary().FindText("▁a")}).text(), "a");
  const v1::DecodeStreamResponse part = Push({Byte(0xF0), Byte(0x9F)});
  EXPECT_EQ(part.text(), "");
  EXPECT_EQ(part.held(), "\xF0\x9F");
  ASSERT_EQ(part.tokens_size(), 2);
  EXPECT_EQ(part.tokens(0).spelling(), "<0xF0>");
  EXPECT_EQ(part.tokens(0).piece(), "\xF0");
  EXPECT_EQ(Push({}).held(), "\xF0\x9F") << "an empty request has its answer, too";
  const v1::DecodeStreamResponse whole = Push({Byte(0x91), Byte(0x80)});
  EXPECT_EQ(whole.text(), "👀");
  EXPECT_EQ(whole.held(), "");
  EXPECT_EQ(Push({Byte(0xE2)}).text(), "");
  EXPECT_EQ(End().text(), "\uFFFD");
}

TEST_F(DecodeStreamTest, TheOptionOfTheFirstRequestCounts) {
  const uint32_t a = *tokenizer_->vocabulary().FindText("▁a");
  EXPECT_EQ(Push({a}, true).text(), " a");
  EXPECT_EQ(Push({a}, false).text(), " a");
  EXPECT_EQ(End().text(), "");
}

TEST_F(DecodeStreamTest, AnEmptyStreamIsFlushedAsEmpty) { EXPECT_EQ(End().text(), ""); }

TEST_F(DecodeStreamTest, AWrongIdEndsTheStream) {
  v1::DecodeStreamRequest request;
  request.add_ids(512);
  v1::DecodeStreamResponse response;
  ASSERT_TRUE(stream_->Write(request));
  EXPECT_FALSE(stream_->Read(&response));
  const absl::Status status = FromGrpcStatus(stream_->Finish());
  EXPECT_EQ(status.code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(GetReason(status), "TOKEN_ID");
}

TEST_F(DecodeStreamTest, TooManyIdsInOneRequestEndTheStream) {
  EXPECT_EQ(Push(std::vector<uint32_t>(static_cast<int>(kStreamIds.most), Byte('a'))).tokens_size(),
            static_cast<int>(kStreamIds.most));
  v1::DecodeStreamRequest request;
  request.mutable_ids()->Resize(static_cast<int>(kStreamIds.most) + 1, Byte('a'));
  v1::DecodeStreamResponse response;
  ASSERT_TRUE(stream_->Write(request));
  EXPECT_FALSE(stream_->Read(&response));
  EXPECT_EQ(Field(FromGrpcStatus(stream_->Finish())), "ids");
}

TEST_F(DecodeStreamTest, ACancelledStreamLeavesTheGate) {
  Push({Byte('a')});
  EXPECT_EQ(gate_.calls(), 1);
  context_.TryCancel();
  EXPECT_FALSE(stream_->Finish().ok());
  EXPECT_TRUE(gate_.WaitUntilEmpty(absl::Now() + absl::Seconds(20)));
}

}  // namespace
}  // namespace llama
