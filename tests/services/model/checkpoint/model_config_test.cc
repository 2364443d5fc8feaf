#include "services/model/checkpoint/model_config.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace llama {
namespace {

using testing::HasSubstr;

TEST(ModelConfigTest, Llama2SevenBillion) {
  const auto config = ParseModelConfig(
      R"({"dim": 4096, "multiple_of": 256, "n_heads": 32, "n_layers": 32, "norm_eps": 1e-05, "vocab_size": -1})",
      "params.json");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->ffn_hidden_dim, 11008);
  EXPECT_EQ(config->head_dim, 128);
  EXPECT_EQ(config->n_kv_heads, 32);
  EXPECT_FALSE(config->n_kv_heads_given);
  EXPECT_EQ(config->vocab_size, -1);
  EXPECT_EQ(config->rope_theta, 10000);
}

TEST(ModelConfigTest, Llama2SeventyBillion) {
  const auto config = ParseModelConfig(
      R"({"dim": 8192, "multiple_of": 4096, "ffn_dim_multiplier": 1.3, "n_heads": 64, "n_kv_heads": 8, "n_layers": 80, "norm_eps": 1e-05, "vocab_size": -1})",
      "params.json");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->ffn_hidden_dim, 28672);
  EXPECT_EQ(config->kv_dim(), 1024);
}

TEST(ModelConfigTest, WhatIsWrongIsNamed) {
  const std::string rest = R"("n_heads": 8, "n_layers": 2})";
  const auto message = [](const std::string& json) {
    const auto config = ParseModelConfig(json, "params.json");
    EXPECT_FALSE(config.ok()) << json;
    return std::string(config.status().message());
  };
  EXPECT_THAT(message("{" + rest), HasSubstr("params.json: dim: missing"));
  EXPECT_THAT(message(R"({"dim": 0, )" + rest), HasSubstr("dim: expected 1 to 65536, found 0"));
  EXPECT_THAT(message(R"({"dim": 64, "dim": 64, )" + rest), HasSubstr("dim: stands there twice"));
  EXPECT_THAT(message(R"({"dim": "64", )" + rest), HasSubstr("numbers only"));
  EXPECT_THAT(message(R"({"dim": 65, )" + rest), HasSubstr("n_heads: expected a divisor of dim"));
  EXPECT_THAT(message(R"({"dim": 64, "n_kv_heads": 3, )" + rest), HasSubstr("n_kv_heads"));
  EXPECT_THAT(message(R"({"dim": 64, "norm_eps": 1e308, )" + rest), HasSubstr("norm_eps"));
  EXPECT_THAT(message(R"({"dim": 64, "moe": {"a": 1}, )" + rest), HasSubstr("one within another"));
  message(R"({"dim": 64, "use_scaled_rope": true, )" + rest);
  message(R"({"dim": 64, "norm_eps": NaN, )" + rest);
  message(R"({"dim": 1e300, )" + rest);
  message("");
  message("[]");
  message("{");
  message(std::string(100'000, '{'));
  message(std::string(1'000'000, ' '));
}

}  // namespace
}  // namespace llama
