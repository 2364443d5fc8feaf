#include "services/gateway/prefix_key.h"

#include <initializer_list>
#include <set>
#include <string>

#include "gtest/gtest.h"

namespace llama {
namespace {

v1::GenerateRequest Text(const std::string& text) {
  v1::GenerateRequest request;
  request.mutable_prompt()->set_text(text);
  return request;
}

// The first message is the system's if `has_system`, and then the user's and the assistant's.
v1::GenerateRequest Chat(bool has_system, std::initializer_list<std::string> contents) {
  v1::GenerateRequest request;
  bool is_user = true;
  for (const std::string& content : contents) {
    v1::ChatMessage& message = *request.mutable_prompt()->mutable_chat()->add_messages();
    message.set_content(content);
    message.set_role(has_system ? v1::ROLE_SYSTEM : is_user ? v1::ROLE_USER : v1::ROLE_ASSISTANT);
    if (!has_system) is_user = !is_user;
    has_system = false;
  }
  return request;
}

TEST(PrefixKeyTest, AllTurnsOfAChatHaveOneKey) {
  for (const bool has_system : {false, true}) {
    const uint64_t first =
        has_system ? PrefixKey(Chat(true, {"rules", "hi"})) : PrefixKey(Chat(false, {"hi"}));
    const auto later = has_system ? Chat(true, {"rules", "hi", "hello", "how?"})
                                  : Chat(false, {"hi", "hello", "how?"});
    EXPECT_EQ(PrefixKey(later), first);
  }
}

TEST(PrefixKeyTest, ChatsThatBeginDifferentlyHaveDifferentKeys) {
  const std::set<uint64_t> keys = {PrefixKey(Chat(false, {"hi"})),
                                   PrefixKey(Chat(false, {"hello"})),
                                   PrefixKey(Chat(true, {"rules", "hi"})),
                                   PrefixKey(Chat(true, {"rules", "hello"})),
                                   PrefixKey(Chat(true, {"others", "hi"})),
                                   PrefixKey(Chat(true, {"rule", "shi"})),
                                   PrefixKey(Text("hi")),
                                   PrefixKey(Text(""))};
  EXPECT_EQ(keys.size(), 8u);
}

TEST(PrefixKeyTest, OfALongPromptOnlyTheBeginningCounts) {
  const std::string begin(256, 'x');
  EXPECT_EQ(PrefixKey(Text(begin + "a")), PrefixKey(Text(begin + "bc")));
  EXPECT_NE(PrefixKey(Text(begin.substr(1) + "a")), PrefixKey(Text(begin.substr(1) + "b")));
  const std::string document(4096, 'x');
  EXPECT_EQ(PrefixKey(Chat(false, {document + "a"})), PrefixKey(Chat(false, {document + "b"})));
  v1::GenerateRequest one;
  for (uint32_t id = 0; id < 64; ++id) one.mutable_prompt()->mutable_token_ids()->add_ids(id);
  v1::GenerateRequest longer = one;
  longer.mutable_prompt()->mutable_token_ids()->add_ids(5);
  EXPECT_EQ(PrefixKey(longer), PrefixKey(one));
  longer.mutable_prompt()->mutable_token_ids()->set_ids(63, 5);
  EXPECT_NE(PrefixKey(longer), PrefixKey(one));
}

TEST(PrefixKeyTest, CachesThatAreApartNeedNotMeet) {
  v1::GenerateRequest request = Text("hi");
  request.set_cache_salt("tenant");
  EXPECT_NE(PrefixKey(request), PrefixKey(Text("hi")));
}

TEST(PrefixKeyTest, OptionsOfTheReplyDoNotCount) {
  v1::GenerateRequest request = Text("hi");
  request.set_request_id("id");
  request.mutable_sampling()->set_seed(1);
  EXPECT_EQ(PrefixKey(request), PrefixKey(Text("hi")));
}

}  // namespace
}  // namespace llama
