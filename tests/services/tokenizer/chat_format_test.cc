#include "services/tokenizer/chat_format.h"

#include "gtest/gtest.h"

namespace llama {
namespace {

TEST(ChatFormatTest, ContentsAreStrippedAsPythonDoes) {
  const std::vector<ChatMessage> chat = {{Role::kUser, "\u3000\u00a0 \t a b\x1c\u2003\n"}};
  const RenderedChat rendered = RenderChat(chat).value();
  ASSERT_EQ(rendered.turns.size(), 1u);
  EXPECT_EQ(rendered.turns[0].text, "[INST] a b [/INST]");
}

TEST(ChatFormatTest, ContentsAreFoundInTheTurnsPutTogether) {
  const std::vector<ChatMessage> chat = {{Role::kSystem, "sys"},
                                         {Role::kUser, " one "},
                                         {Role::kAssistant, "two"},
                                         {Role::kUser, "three"}};
  const RenderedChat rendered = RenderChat(chat).value();
  std::string all;
  for (const RenderedTurn& turn : rendered.turns) all += turn.text;
  std::vector<std::string> contents;
  for (const Range& range : rendered.contents) {
    contents.push_back(
        all.substr(static_cast<size_t>(range.begin), static_cast<size_t>(range.end - range.begin)));
  }
  EXPECT_EQ(contents, (std::vector<std::string>{"sys", "one", "two", "three"}));
  EXPECT_TRUE(rendered.turns[0].answered);
  EXPECT_FALSE(rendered.turns[1].answered);
}

}  // namespace
}  // namespace llama
