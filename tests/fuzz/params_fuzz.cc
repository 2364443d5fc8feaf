// params.json: whatever is accepted has sizes that divide as a model needs it.
#include "services/model/checkpoint/model_config.h"
#include "tests/fuzz/fuzzing.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace llama;
  const auto config = ParseModelConfig({reinterpret_cast<const char*>(data), size}, "params.json");
  if (!config.ok()) {
    FUZZ_CHECK(absl::IsInvalidArgument(config.status()));
    FUZZ_CHECK(config.status().message().substr(0, 13) == "params.json: ");
    return 0;
  }
  FUZZ_CHECK(config->head_dim * config->n_heads == config->dim && config->head_dim % 2 == 0);
  FUZZ_CHECK(config->n_kv_heads >= 1 && config->n_heads % config->n_kv_heads == 0);
  FUZZ_CHECK(config->n_layers >= 1 && config->n_layers <= 1024);
  FUZZ_CHECK(config->vocab_size == -1 ||
             (config->vocab_size >= 1 && config->vocab_size <= 1 << 20));
  FUZZ_CHECK(config->ffn_hidden_dim >= 1 && config->ffn_hidden_dim % config->multiple_of == 0);
  FUZZ_CHECK(config->norm_eps > 0 && config->rope_theta >= 1);
  return 0;
}
