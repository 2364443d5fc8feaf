#include "clients/console/menu.h"

#include <string>

#include "clients/console/loading_bar.h"
#include "clients/console/metadata.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace llama {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(MenuTest, LooksAsDesigned) {
  EXPECT_EQ(RenderMenu(PredefinedItems(), false),
            R"(Select from our predefined prompts (latest two are for manual input):
 0.                   Print model metadata (tensor list, hyperparameters, etc...)
 1. [Text completion] Prompt: Hello, my name is
 2. [Chat mode]       System Prompt: You are Einstein
                      Prompt: Describe your theory.
 3. [Chat mode]       System Prompt: Answer in 20 words, directly, and without an introduction
                      Prompt: Can you explain what is Theory of relativity?
 4. [Chat mode]       System Prompt: You are a pirate
                      Prompt: Explain what is quantum computer in 20 words.
 5. [Chat mode]       System Prompt: Always answer with emojis
                      Prompt: How to go from Beijing to NY?
 6. [Chat mode]       System Prompt: Answer with only one emoji
                      Prompt: What is the flag of Turkey?
 7. [Text completion] Other, manual input
 8. [Chat mode]       Other, manual input

Your choice (choose 0 to 8 and press Enter): )");
}

TEST(MenuTest, BoldPartsAreBold) {
  const std::string menu = RenderMenu(PredefinedItems(), true);
  EXPECT_THAT(menu, HasSubstr(" 1. [Text completion] \x1b[1mPrompt:\x1b[0m Hello, my name is\n"));
  EXPECT_THAT(menu, HasSubstr("\x1b[1mSystem Prompt:\x1b[0m You are Einstein\n"));
  EXPECT_THAT(menu, EndsWith("\n\x1b[1mYour choice (choose 0 to 8 and press Enter):\x1b[0m "));
}

TEST(MenuTest, ChoicesAreNumbersOfItems) {
  for (const auto& [line, choice] : {std::pair("0", 0), {"8", 8}, {"  3\t", 3}, {"08", 8}}) {
    ASSERT_TRUE(ParseChoice(line, 9).ok()) << line;
    EXPECT_EQ(*ParseChoice(line, 9), static_cast<size_t>(choice));
  }
  for (const char* const line : {"", " ", "x", "1 2", "1.0", "0x1", "99999999999999999999", "１"}) {
    EXPECT_EQ(ParseChoice(line, 9).status().message(), "Not a valid number.") << line;
  }
  for (const char* const line : {"9", "-1", "9223372036854775807"}) {
    EXPECT_EQ(ParseChoice(line, 9).status().message(), "Choice must be between 0 and 8.") << line;
  }
  EXPECT_EQ(ParseChoice("12", 12).status().message(), "Choice must be between 0 and 11.");
}

TEST(PromptsFileTest, LinesBecomeItems) {
  const auto file = ParsePromptsFile(
      "# comment\n\nmodel\tdemo\ncompletion\tOnce upon\r\nchat\tBe brief\tHi\nchat\t\tHo", "f");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->model, "demo");
  ASSERT_EQ(file->items.size(), 3);
  EXPECT_EQ(file->items[0].prompt, "Once upon");
  EXPECT_EQ(file->items[1].system, "Be brief");
  EXPECT_EQ(file->items[2].system, "");
  EXPECT_EQ(file->items[2].prompt, "Ho");
}

TEST(PromptsFileTest, AnEmptyFileHasNoItems) {
  const auto file = ParsePromptsFile("", "f");
  ASSERT_TRUE(file.ok());
  EXPECT_TRUE(file->items.empty());
}

TEST(PromptsFileTest, ABadLineIsNamed) {
  for (const char* const line : {"completion", "completion\t", "chat\tonly", "chat\ta\t",
                                 "other\tx", "completion\ta\tb", "model\t", "completion\t\xff"}) {
    const auto file = ParsePromptsFile(std::string("# one\n") + line, "prompts");
    ASSERT_FALSE(file.ok()) << line;
    EXPECT_THAT(std::string(file.status().message()), HasSubstr("prompts:2: ")) << line;
  }
}

TEST(PromptsFileTest, ControlCharactersInItemsAreNotExecuted) {
  const auto file = ParsePromptsFile("completion\t\x1b[2Jx", "f");
  ASSERT_TRUE(file.ok());
  EXPECT_THAT(RenderMenu(file->items, false), Not(HasSubstr("\x1b")));
}

TEST(LoadingBarTest, ShowsThePercentageWhateverItIs) {
  EXPECT_EQ(RenderLoadingBar(0), "Loading the model [--------------------]   0 %");
  EXPECT_EQ(RenderLoadingBar(40), "Loading the model [########------------]  40 %");
  EXPECT_EQ(RenderLoadingBar(100), "Loading the model [####################] 100 %");
  EXPECT_EQ(RenderLoadingBar(INT64_MAX), RenderLoadingBar(100));
  EXPECT_EQ(RenderLoadingBar(INT64_MIN), RenderLoadingBar(0));
}

v1::GetInfoResponse Llama7B() {
  v1::GetInfoResponse info;
  v1::GetModelInfoResponse& model = *info.mutable_model();
  model.mutable_model()->set_name("llama-2-7b");
  model.set_architecture("Llama");
  model.set_format("PyTorch checkpoint");
  model.set_parameter_count(6738415616);
  model.set_weight_bytes(13476831232);
  model.set_context_length(2048);
  v1::ModelDimensions& d = *model.mutable_dimensions();
  d.set_dim(4096);
  d.set_n_layers(32);
  d.set_n_heads(32);
  d.set_n_kv_heads(32);
  d.set_head_dim(128);
  d.set_ffn_hidden_dim(11008);
  d.set_vocab_size(32000);
  d.set_multiple_of(256);
  d.set_norm_eps(1e-5);
  v1::TensorInfo& tensor = *model.add_tensors();
  tensor.set_name("tok_embeddings.weight");
  tensor.set_data_type(v1::DATA_TYPE_BF16);
  tensor.add_shape(32000);
  tensor.add_shape(4096);
  info.mutable_tokenizer()->set_vocabulary_size(32000);
  return info;
}

TEST(MetadataTest, TensorsAreListed) {
  EXPECT_THAT(RenderMetadata(Llama7B()),
              HasSubstr("Tensors:\nTensor    0: tok_embeddings.weight                            | "
                        "BF16   | [32000 4096]\n"));
}

TEST(MetadataTest, ValuesStandInColumn61) {
  const std::string text = RenderMetadata(Llama7B());
  const std::string line =
      "N_KVHeads (attention head count KV)                          = 32 (set to default value of "
      "N_Heads)\n";
  EXPECT_THAT(text, HasSubstr(line));
  EXPECT_EQ(line.find(" = "), 60);
  EXPECT_THAT(text, HasSubstr("= 1.0e-05\n"));
  EXPECT_THAT(text,
              HasSubstr("FFNDimMultiplier (custom multiplier for hidden dimension)    = None\n"));
}

TEST(MetadataTest, StatisticsAreThoseOfTheModel) {
  const std::string text = RenderMetadata(Llama7B());
  EXPECT_THAT(text, HasSubstr("= 7B\n"));
  EXPECT_THAT(text, HasSubstr("= 6.74 B\n"));
  EXPECT_THAT(text, HasSubstr("= 12.55 GB (16.00 bits per element)\n"));
  EXPECT_THAT(text, EndsWith("Model metadata was printed.\n"));
}

TEST(MetadataTest, GivenKvHeadsAndMultiplierAreToldAsTheyAre) {
  v1::GetInfoResponse info = Llama7B();
  info.mutable_model()->mutable_dimensions()->set_n_kv_heads(8);
  info.mutable_model()->mutable_dimensions()->set_n_kv_heads_given(true);
  info.mutable_model()->mutable_dimensions()->set_ffn_dim_multiplier(1.3);
  const std::string text = RenderMetadata(info);
  EXPECT_THAT(text, HasSubstr("= 8\n"));
  EXPECT_THAT(text, HasSubstr("= 1.3\n"));
  EXPECT_THAT(text, Not(HasSubstr("default value")));
}

TEST(MetadataTest, TheSummaryTellsEachFactOnALineOfItsOwn) {
  v1::GetInfoResponse info = Llama7B();
  info.mutable_compute_plan()->set_instruction_set("avx512_bf16");
  info.mutable_compute_plan()->set_threads(2);
  EXPECT_EQ(RenderSummary(info),
            "Model          : llama-2-7b\n"
            "Parameters     : 6.74 B, 12.55 GB\n"
            "Layers         : 32\n"
            "Context length : 2048 tokens\n"
            "Vocabulary     : 32000 tokens\n"
            "Computes with  : avx512_bf16, 2 threads\n");
}

TEST(MetadataTest, AnEmptyAnswerIsNoDivisionByZero) {
  EXPECT_THAT(RenderMetadata({}), HasSubstr("Model metadata was printed."));
}

}  // namespace
}  // namespace llama
