#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/forged/cases.h"

namespace llama::forged {
namespace {

// The small model's params.json with this in the place of one of its keys, or behind them.
std::string With(const std::string& key, const std::string& text) {
  static const std::vector<std::pair<std::string, std::string>> kKeys = {
      {"dim", "4"},         {"n_layers", "1"},       {"n_heads", "1"},
      {"n_kv_heads", "1"},  {"vocab_size", "3"},     {"multiple_of", "2"},
      {"norm_eps", "1e-5"}, {"rope_theta", "10000"}, {"ffn_dim_multiplier", "0.5"}};
  std::string json = "{";
  bool found = false;
  for (const auto& [known, value] : kKeys) {
    found = found || known == key;
    const std::string member = known == key ? text : absl::StrCat("\"", known, "\": ", value);
    if (!member.empty()) absl::StrAppend(&json, json.size() == 1 ? "" : ", ", member);
  }
  if (!found) absl::StrAppend(&json, ", ", text);
  return json + "}";
}

class Builder {
 public:
  void Good(const std::string& name, const std::string& json) { Add("good_" + name, json, {}); }
  void Bad(const std::string& name, const std::string& json, const std::string& expected) {
    Add(name, json, {kParams, expected});
  }
  // A key with a value, and with what the range of it is.
  void BadValue(const std::string& key, const std::string& name, const std::string& value,
                const std::string& expected) {
    Bad(absl::StrCat(key, "_", name), With(key, absl::StrCat("\"", key, "\": ", value)),
        absl::StrCat(key, ": expected ", expected));
  }
  std::vector<Case> Take() { return std::move(cases_); }

 private:
  void Add(const std::string& name, const std::string& json, std::vector<std::string> expected) {
    cases_.push_back(
        {"params_" + name, Reader::kModel, std::move(expected), [json](const std::string& folder) {
           WriteFile(folder, kParams, json);
           WriteFile(folder, kWeights, SmallParts().Write());
         }});
  }
  std::vector<Case> cases_;
};

void AddRanges(Builder& cases) {
  const std::vector<std::pair<std::string, std::string>> ranges = {
      {"dim", "1 to 65536"},       {"n_layers", "1 to 1024"},     {"n_heads", "1 to 4096"},
      {"n_kv_heads", "1 to 4096"}, {"multiple_of", "1 to 65536"}, {"vocab_size", "1 to 1048576"}};
  for (const auto& [key, range] : ranges) {
    cases.BadValue(key, "0", "0", range);
    cases.BadValue(key, "minus", "-2", range);
    cases.BadValue(key, "large", "1048577", range);
    cases.BadValue(key, "2_to_62", "4611686018427387904", range);
    cases.Bad(key + "_2_to_64", With(key, absl::StrCat("\"", key, "\": 18446744073709551616")),
              key);
    cases.Bad(key + "_fraction", With(key, absl::StrCat("\"", key, "\": 1.5")), key);
    cases.Bad(key + "_1e308", With(key, absl::StrCat("\"", key, "\": 1e308")), key);
    cases.BadValue(key, "text", "\"4\"", "a number, found \"4\"");
    cases.BadValue(key, "true", "true", "a number, found true");
    cases.BadValue(key, "nan", "NaN", "a number, found NaN");
    cases.BadValue(key, "list", "[4]", "a number, found [4]");
    cases.BadValue(key, "object", "{\"a\": 1}", "a number, found {\"a\":");
  }
  const std::vector<std::pair<std::string, std::string>> reals = {
      {"norm_eps", "1e-12 to 0.1"},
      {"rope_theta", "1 to 1e+12"},
      {"ffn_dim_multiplier", "0.01 to 100"}};
  for (const auto& [key, range] : reals) {
    cases.BadValue(key, "0", "0", range);
    cases.BadValue(key, "minus", "-1", range);
    cases.BadValue(key, "1e308", "1e308", range);
    cases.BadValue(key, "tiny", "1e-300", range);
    cases.Bad(key + "_1e400", With(key, absl::StrCat("\"", key, "\": 1e400")),
              "Number exceeds the range of double");
    cases.BadValue(key, "nan", "NaN", "a number, found NaN");
    cases.BadValue(key, "infinity", "Infinity", "a number, found Infinity");
    cases.BadValue(key, "minus_infinity", "-Infinity", "a number, found -Infinity");
    cases.BadValue(key, "text", "\"0.5\"", "a number, found \"0.5\"");
    cases.BadValue(key, "text_nan", "\"NaN\"", "a number, found \"NaN\"");
  }
  cases.Good("null",
             With("ffn_dim_multiplier", "\"ffn_dim_multiplier\": 0.5, \"max_seq_len\": null"));
  cases.Good("vocabulary_left_open", With("vocab_size", "\"vocab_size\": -1"));
}

void AddFits(Builder& cases) {
  cases.Bad("heads_do_not_divide", With("n_heads", "\"n_heads\": 3"),
            "n_heads: expected a divisor of dim 4 with an even quotient, found 3");
  cases.Bad("heads_odd_size", With("n_heads", "\"n_heads\": 4"),
            "n_heads: expected a divisor of dim 4 with an even quotient, found 4");
  cases.Bad("kv_heads_do_not_divide", With("n_kv_heads", "\"n_kv_heads\": 2"),
            "n_kv_heads: expected a divisor of n_heads 1, found 2");
  cases.Bad("missing_dim", With("dim", ""), "dim: missing");
  cases.Bad("missing_n_layers", With("n_layers", ""), "n_layers: missing");
  cases.Bad("missing_n_heads", With("n_heads", ""), "n_heads: missing");
}

void AddForms(Builder& cases) {
  const char kMalformed[] = "not a JSON object of numbers: byte";
  const std::string whole = With("", "");
  const std::string good = whole.substr(0, whole.rfind(',')) + "}";
  cases.Good("as_they_are", good);
  cases.Good("spread_out", "\n\t " + good + "\r\n ");
  for (size_t size = 0; size < good.size(); size += 16) {
    cases.Bad(absl::StrCat("cut_", size), good.substr(0, size), ": ");
  }
  cases.Bad("cut_last", good.substr(0, good.size() - 1), kMalformed);
  cases.Bad("doubled_key", With("x", "\"dim\": 4"), "dim: stands there twice");
  cases.Bad("doubled_key_other_value", With("x", "\"dim\": 8"), "dim: stands there twice");
  cases.Bad("key_in_camel_case", With("x", "\"nHeads\": 2"),
            "nHeads: not a key that is known here");
  cases.Bad("key_escaped", With("dim", "\"\\u0064im\": 4"), kMalformed);
  cases.Bad("key_unknown", With("x", "\"use_scaled_rope\": 1"),
            "use_scaled_rope: not a key that is known here");
  cases.Bad("key_with_escapes", With("x", "\"\x1b[2J\": 1"), "\\x1b[2J: not a key");
  cases.Bad("key_empty", With("x", "\"\": 1"), ": not a key that is known here");
  cases.Bad("key_long", With("x", absl::StrCat("\"", std::string(10'000, 'k'), "\": 1")),
            std::string(64, 'k') + ": not a key");
  cases.Bad("key_without_quotes", With("dim", "dim: 4"), kMalformed);
  cases.Bad("key_in_single_quotes", With("dim", "'dim': 4"), kMalformed);
  cases.Bad("two_objects", good + good, kMalformed);
  cases.Bad("text_behind", good + "x", kMalformed);
  cases.Bad("zero_behind", good + std::string(1, '\0'), kMalformed);
  cases.Bad("a_list", "[" + good + "]", kMalformed);
  cases.Bad("a_number", "5", kMalformed);
  cases.Bad("null", "null", kMalformed);
  cases.Bad("byte_order_mark", "\xEF\xBB\xBF" + good, kMalformed);
  cases.Bad("utf16", std::string("{\0\"\0", 4), kMalformed);
  cases.Bad("comment", "/* x */" + good, kMalformed);
  cases.Bad("comma_at_the_end", good.substr(0, good.size() - 1) + ",}", kMalformed);
  cases.Bad("commas", With("dim", ",\"dim\": 4"), kMalformed);
  cases.Bad("no_colon", With("dim", "\"dim\" 4"), kMalformed);
  cases.Bad("deep_objects", std::string(10'000, '{'), kMalformed);
  cases.Bad("deep_lists", With("dim", "\"dim\": " + std::string(10'000, '[')),
            "dim: expected a number, found [[[[");
  std::string deep;
  for (int i = 0; i < 6000; ++i) deep += "{\"dim\":";
  cases.Bad("deep_members", deep, "dim: expected a number, found {\"dim\":");
  cases.Bad("number_double_sign", With("dim", "\"dim\": --4"), "");
  cases.Bad("number_hexadecimal", With("dim", "\"dim\": 0x4"), "dim: expected a number, found 0x4");
  cases.Bad("number_two_points", With("norm_eps", "\"norm_eps\": 1.0.0"), "");
  cases.Bad("number_long", With("dim", "\"dim\": " + std::string(60'000, '4')), "");
  cases.Bad("large", "{" + std::string(70'000, ' ') + "}", "");
}

}  // namespace

std::vector<Case> ParamsCases() {
  Builder cases;
  AddForms(cases);
  AddRanges(cases);
  AddFits(cases);
  return cases.Take();
}

}  // namespace llama::forged
