#ifndef LLAMA_SERVICES_MODEL_CHECKPOINT_MODEL_CONFIG_H_
#define LLAMA_SERVICES_MODEL_CHECKPOINT_MODEL_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace llama {

// The hyper-parameters of a Llama model: params.json with its defaults filled in and the derived
// sizes computed as Meta's code does. All are in the ranges of the table in model_config.cc.
struct ModelConfig {
  int64_t dim = 0;
  int64_t n_layers = 0;
  int64_t n_heads = 0;     // Divides dim into an even head_dim.
  int64_t n_kv_heads = 0;  // Divides n_heads.
  bool n_kv_heads_given = false;
  int64_t vocab_size =
      0;  // -1 where params.json leaves it to the tokenizer, until a checkpoint told.
  int64_t multiple_of = 256;
  std::optional<double> ffn_dim_multiplier;
  double norm_eps = 1e-5;
  double rope_theta = 10000;
  std::optional<int64_t> max_seq_len;  // The longest text that the model was made for, if stated.

  int64_t head_dim = 0;        // dim / n_heads
  int64_t ffn_hidden_dim = 0;  // Rows of w1 and w3.

  int64_t kv_dim() const { return n_kv_heads * head_dim; }
};

// Parses params.json. Errors: INVALID_ARGUMENT, starting with `name` and naming the key, what was
// expected and what was found: not JSON, a key doubled, missing, of the wrong type, out of range,
// or one that changes the model and is not known here (so that no model is run wrongly).
absl::StatusOr<ModelConfig> ParseModelConfig(absl::string_view json, absl::string_view name);

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_CHECKPOINT_MODEL_CONFIG_H_
