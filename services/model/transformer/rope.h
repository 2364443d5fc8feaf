#ifndef LLAMA_SERVICES_MODEL_TRANSFORMER_ROPE_H_
#define LLAMA_SERVICES_MODEL_TRANSFORMER_ROPE_H_

#include <cstdint>
#include <vector>

#include "services/model/checkpoint/model_config.h"

namespace llama {

// Rotary position embedding (arXiv:2104.09864) as in Meta's code: pair i of adjacent elements of a
// head turns by position * rope_theta^(-2i / head_dim). The angles are computed in float64.
class Rope {
 public:
  Rope(const ModelConfig& config, int64_t positions);

  // Turns `heads` heads that lie one after the other. REQUIRES: position < positions.
  void Rotate(float* heads_data, int64_t heads, int64_t position) const;

  static int64_t Bytes(const ModelConfig& config, int64_t positions);

 private:
  const int64_t head_dim_;
  std::vector<float> table_;  // [positions, head_dim / 2, cos|sin]
};

}  // namespace llama

#endif  // LLAMA_SERVICES_MODEL_TRANSFORMER_ROPE_H_
