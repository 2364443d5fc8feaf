#include "services/model/checkpoint/model_config.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "common/printable.h"
#include "common/status_macros.h"
#include "google/protobuf/util/json_util.h"
#include "llama/files/params.pb.h"

namespace llama {
namespace {

constexpr size_t kMaxJsonBytes = size_t{64} << 10;

template <typename T>
struct Limits {
  const char* key;
  T least;
  T most;
};

// The ranges of every key. They keep all products of sizes within 63 bits.
constexpr Limits<int64_t> kDim = {"dim", 1, 1 << 16};
constexpr Limits<int64_t> kLayers = {"n_layers", 1, 1024};
constexpr Limits<int64_t> kHeads = {"n_heads", 1, 1 << 12};
constexpr Limits<int64_t> kKvHeads = {"n_kv_heads", 1, 1 << 12};
constexpr Limits<int64_t> kVocabulary = {"vocab_size", 1, 1 << 20};
constexpr Limits<int64_t> kMultipleOf = {"multiple_of", 1, 1 << 16};
constexpr Limits<double> kMultiplier = {"ffn_dim_multiplier", 0.01, 100};
constexpr Limits<double> kEpsilon = {"norm_eps", 1e-12, 0.1};
constexpr Limits<double> kTheta = {"rope_theta", 1, 1e12};
constexpr Limits<int64_t> kContext = {"max_seq_len", 1, 1 << 20};
constexpr int64_t kMaxFfnHiddenDim = 1 << 19;

template <typename T>
absl::Status CheckRange(T value, const Limits<T>& limits) {
  if (value >= limits.least && value <= limits.most) return absl::OkStatus();  // Not for a NaN.
  return absl::InvalidArgumentError(absl::StrCat(limits.key, ": expected ", limits.least, " to ",
                                                 limits.most, ", found ", value));
}

absl::Status RefuseKey(absl::string_view key, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(Printable(key.substr(0, 64)), ": ", what));
}

// protobuf's parser is lenient: it takes the last of two equal keys, a key under two spellings,
// keys without quotes, and digs as deep as it is led. The file is one flat object of numbers, which
// this makes sure of.
absl::Status CheckFlatObject(absl::string_view json) {
  absl::flat_hash_set<absl::string_view> keys;
  size_t at = 0;
  // The next character that is no white space; 0 at the end.
  const auto peek = [&]() -> char {
    at = std::min(json.find_first_not_of(" \t\r\n", at), json.size());
    return at < json.size() ? json[at] : '\0';
  };
  const auto take = [&](char expected) { return peek() == expected && ++at > 0; };
  const auto malformed = [&] {
    return absl::InvalidArgumentError(absl::StrCat("not a JSON object of numbers: byte ", at));
  };
  if (!take('{')) return malformed();
  bool more = !take('}');
  while (more) {
    if (!take('"')) return malformed();
    const size_t key_size = json.substr(at).find_first_of("\"\\");
    if (key_size == absl::string_view::npos || json[at + key_size] == '\\') return malformed();
    const absl::string_view key = json.substr(at, key_size);
    at += key_size + 1;
    if (files::Params::descriptor()->FindFieldByName(std::string(key)) == nullptr) {
      return RefuseKey(key, "not a key that is known here; it may change the model");
    }
    if (!keys.insert(key).second) return RefuseKey(key, "stands there twice");
    if (!take(':')) return malformed();
    peek();
    const absl::string_view value =
        json.substr(at, std::min(json.find_first_of(",} \t\r\n", at), json.size()) - at);
    const bool is_number =
        !value.empty() && value.find_first_not_of("0123456789+-.eE") == absl::string_view::npos;
    if (!is_number && value != "null") {
      return RefuseKey(key,
                       absl::StrCat("expected a number, found ", Printable(value.substr(0, 64))));
    }
    at += value.size();
    more = take(',');
    if (!more && !take('}')) return malformed();
  }
  return peek() == '\0' && at == json.size() ? absl::OkStatus() : malformed();
}

absl::StatusOr<files::Params> ParseJson(absl::string_view json) {
  if (json.size() > kMaxJsonBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("expected at most ", kMaxJsonBytes, " bytes, found ", json.size()));
  }
  RETURN_IF_ERROR(CheckFlatObject(json));
  files::Params params;
  const auto parsed = google::protobuf::util::JsonStringToMessage(
      google::protobuf::StringPiece(json.data(), json.size()), &params);
  if (!parsed.ok()) {
    const auto message = parsed.message();
    return absl::InvalidArgumentError(
        Printable(absl::string_view(message.data(), std::min<size_t>(message.size(), 300))));
  }
  return params;
}

// As Meta's llama/model.py computes it, in its order of truncations.
absl::StatusOr<int64_t> FfnHiddenDim(const ModelConfig& config) {
  int64_t hidden = 2 * (4 * config.dim) / 3;
  if (config.ffn_dim_multiplier.has_value()) {
    hidden = static_cast<int64_t>(*config.ffn_dim_multiplier * static_cast<double>(hidden));
  }
  hidden = (hidden + config.multiple_of - 1) / config.multiple_of * config.multiple_of;
  if (hidden < 1 || hidden > kMaxFfnHiddenDim) {
    return absl::InvalidArgumentError(absl::StrCat(
        "dim, multiple_of and ffn_dim_multiplier: expected a feed-forward size of 1 to ",
        kMaxFfnHiddenDim, ", found ", hidden));
  }
  return hidden;
}

absl::StatusOr<ModelConfig> FromParams(const files::Params& params) {
  for (const auto& [given, key] :
       {std::pair(params.has_dim(), "dim"), std::pair(params.has_n_layers(), "n_layers"),
        std::pair(params.has_n_heads(), "n_heads")}) {
    if (!given) return absl::InvalidArgumentError(absl::StrCat(key, ": missing"));
  }
  ModelConfig config;
  config.dim = params.dim();
  config.n_layers = params.n_layers();
  config.n_heads = params.n_heads();
  config.n_kv_heads_given = params.has_n_kv_heads();
  config.n_kv_heads = params.has_n_kv_heads() ? params.n_kv_heads() : params.n_heads();
  config.vocab_size = params.has_vocab_size() ? params.vocab_size() : -1;
  if (params.has_multiple_of()) config.multiple_of = params.multiple_of();
  if (params.has_ffn_dim_multiplier()) config.ffn_dim_multiplier = params.ffn_dim_multiplier();
  if (params.has_norm_eps()) config.norm_eps = params.norm_eps();
  if (params.has_rope_theta()) config.rope_theta = params.rope_theta();
  if (params.has_max_seq_len()) config.max_seq_len = params.max_seq_len();

  RETURN_IF_ERROR(CheckRange(config.dim, kDim));
  RETURN_IF_ERROR(CheckRange(config.n_layers, kLayers));
  RETURN_IF_ERROR(CheckRange(config.n_heads, kHeads));
  RETURN_IF_ERROR(CheckRange(config.n_kv_heads, kKvHeads));
  if (config.vocab_size != -1) RETURN_IF_ERROR(CheckRange(config.vocab_size, kVocabulary));
  RETURN_IF_ERROR(CheckRange(config.multiple_of, kMultipleOf));
  RETURN_IF_ERROR(CheckRange(config.ffn_dim_multiplier.value_or(1), kMultiplier));
  RETURN_IF_ERROR(CheckRange(config.norm_eps, kEpsilon));
  RETURN_IF_ERROR(CheckRange(config.rope_theta, kTheta));
  RETURN_IF_ERROR(CheckRange(config.max_seq_len.value_or(1), kContext));
  if (config.dim % config.n_heads != 0 || config.dim / config.n_heads % 2 != 0) {
    return absl::InvalidArgumentError(absl::StrCat("n_heads: expected a divisor of dim ",
                                                   config.dim, " with an even quotient, found ",
                                                   config.n_heads));
  }
  if (config.n_heads % config.n_kv_heads != 0) {
    return absl::InvalidArgumentError(absl::StrCat("n_kv_heads: expected a divisor of n_heads ",
                                                   config.n_heads, ", found ", config.n_kv_heads));
  }
  config.head_dim = config.dim / config.n_heads;
  ASSIGN_OR_RETURN(config.ffn_hidden_dim, FfnHiddenDim(config));
  return config;
}

}  // namespace

absl::StatusOr<ModelConfig> ParseModelConfig(absl::string_view json, absl::string_view name) {
  const auto with_name = [name](const absl::Status& status) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": ", status.message()));
  };
  const absl::StatusOr<files::Params> params = ParseJson(json);
  if (!params.ok()) return with_name(params.status());
  absl::StatusOr<ModelConfig> config = FromParams(*params);
  if (!config.ok()) return with_name(config.status());
  return config;
}

}  // namespace llama
