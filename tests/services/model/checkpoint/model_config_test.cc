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
  EXPECT_FALSE(config->max_seq_len.has_value());
}

TEST(ModelConfigTest, TheLongestTextIsTakenIfStated) {
  const auto stating = [](const std::string& tokens) {
    return ParseModelConfig(
        R"({"dim": 64, "n_heads": 8, "n_layers": 2, "max_seq_len": )" + tokens + "}",
        "params.json");
  };
  ASSERT_TRUE(stating("512").ok()) << stating("512").status();
  EXPECT_EQ(stating("512")->max_seq_len, 512);
  for (const char* const tokens : {"0", "-1", "1048577"}) {
    EXPECT_THAT(stating(tokens).status().message(),
                HasSubstr("params.json: max_seq_len: expected 1 to 1048576, found"));
  }
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
  EXPECT_THAT(message(R"({"dim": "64", )" + rest), HasSubstr("dim: expected a number"));
  EXPECT_THAT(message(R"({"dim": 65, )" + rest), HasSubstr("n_heads: expected a divisor of dim"));
  EXPECT_THAT(message(R"({"dim": 64, "n_kv_heads": 3, )" + rest), HasSubstr("n_kv_heads"));
  EXPECT_THAT(message(R"({"dim": 64, "norm_eps": 1e308, )" + rest), HasSubstr("norm_eps"));
  EXPECT_THAT(message(R"({"dim": 64, "moe": {"a": 1}, )" + rest),
              HasSubstr("moe: not a key that is known"));
  message(R"({"dim": 64, "use_scaled_rope": true, )" + rest);
  message(R"({"dim": 64, "norm_eps": NaN, )" + rest);
  message(R"({"dim": 1e300, )" + rest);
  message(R"({"dim": {"dim": 64}, )" + rest);
  message(R"({"dim": [64], )" + rest);
  message("");
  message("[]");
  message("{");
  message(std::string(100'000, '{'));
  message(std::string(1'000'000, ' '));
}

// What protobuf's lenient parser would take in silence.
TEST(ModelConfigTest, OnlyPlainJsonIsRead) {
  const std::string rest = R"("n_heads": 8, "n_layers": 2)";
  ASSERT_TRUE(ParseModelConfig(R"({"dim": 64, )" + rest + "}", "p").ok());
  ASSERT_TRUE(ParseModelConfig(R"({"dim": 64, "n_kv_heads": null, )" + rest + "}", "p").ok());
  for (const std::string& json : {
           R"({"dim": 64, 'dim': 128, )" + rest + "}",
           R"({dim: 64, )" + rest + "}",
           R"({"dim": 64, "nLayers": 3, )" + rest + "}",
           R"({"dim": 64, )" + rest + ",}",
           R"({"dim": 64, )" + rest + "}}",
           R"({"dim": 64, )" + rest + "}{}",
           R"({"dim": 64, )" + rest,
           R"({"dim": 64 )" + rest + "}",
           R"({"dim" 64, )" + rest + "}",
           R"({"\u0064im": 64, )" + rest + "}",
           R"({"dim": 64, "dim\u0000": 1, )" + rest + "}",
           R"({"dim": Infinity, )" + rest + "}",
           R"({"dim": true, )" + rest + "}",
           R"({"dim": 64.5, )" + rest + "}",
           R"({"dim": 6-4, )" + rest + "}",
           R"({"dim": 99999999999999999999, )" + rest + "}",
           R"({"dim": -64, )" + rest + "}",
           R"({"dim": 64, "vocab_size": 0, )" + rest + "}",
           R"({"dim": 64, "vocab_size": -2, )" + rest + "}",
           R"({"dim": 64, "multiple_of": 0, )" + rest + "}",
           R"({"dim": 64, "ffn_dim_multiplier": -1, )" + rest + "}",
           R"({"dim": 64, "ffn_dim_multiplier": 1e9, )" + rest + "}",
           R"({"dim": 64, "norm_eps": 0, )" + rest + "}",
           R"({"dim": 64, "rope_theta": 0, )" + rest + "}",
           R"({"dim": 64, "rope_theta": 1e400, )" + rest + "}",
           R"({"dim": 24, )" + rest + "}",  // head_dim 3
       }) {
    EXPECT_FALSE(ParseModelConfig(json, "p").ok()) << json;
  }
}

TEST(ModelConfigTest, EveryCutIsRefused) {
  const std::string json = R"({"dim": 64, "n_heads": 8, "n_layers": 2, "norm_eps": 1e-05})";
  for (size_t size = 0; size < json.size(); ++size) {
    EXPECT_FALSE(ParseModelConfig(json.substr(0, size), "p").ok()) << size;
  }
}

// hidden = int(2 * (4 * dim) / 3), int(multiplier * hidden), rounded up: numbers from Meta's code.
TEST(ModelConfigTest, TheFeedForwardSizeIsMetas) {
  struct Case {
    const char* sizes;
    int64_t expected;
  };
  for (const Case& c : {
           Case{R"("dim": 5120, "n_heads": 40, "multiple_of": 256)", 13824},  // 13B
           Case{R"("dim": 4096, "n_heads": 32, "multiple_of": 256, "ffn_dim_multiplier": 1.0)",
                11008},  // Code Llama 7B
           Case{R"("dim": 8192, "n_heads": 64, "multiple_of": 256)", 22016},
           Case{R"("dim": 64, "n_heads": 8, "multiple_of": 4)", 172},
           Case{R"("dim": 40, "n_heads": 4, "multiple_of": 1, "ffn_dim_multiplier": 1.3)", 137},
       }) {
    const auto config = ParseModelConfig(std::string("{\"n_layers\": 1, ") + c.sizes + "}", "p");
    ASSERT_TRUE(config.ok()) << config.status();
    EXPECT_EQ(config->ffn_hidden_dim, c.expected) << c.sizes;
  }
}

}  // namespace
}  // namespace llama
