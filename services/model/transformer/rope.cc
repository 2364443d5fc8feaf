#include "services/model/transformer/rope.h"

#include <cmath>

namespace llama {

Rope::Rope(const ModelConfig& config, int64_t positions)
    : head_dim_(config.head_dim), table_(static_cast<size_t>(positions * config.head_dim)) {
  float* entry = table_.data();
  for (int64_t position = 0; position < positions; ++position) {
    for (int64_t i = 0; i < head_dim_; i += 2) {
      const double frequency =
          std::pow(config.rope_theta, -static_cast<double>(i) / static_cast<double>(head_dim_));
      const double angle = static_cast<double>(position) * frequency;
      *entry++ = static_cast<float>(std::cos(angle));
      *entry++ = static_cast<float>(std::sin(angle));
    }
  }
}

void Rope::Rotate(float* heads_data, int64_t heads, int64_t position) const {
  const float* const table = table_.data() + position * head_dim_;
  for (float* head = heads_data; head < heads_data + heads * head_dim_; head += head_dim_) {
    for (int64_t i = 0; i < head_dim_; i += 2) {
      const float x = head[i];
      const float y = head[i + 1];
      head[i] = x * table[i] - y * table[i + 1];
      head[i + 1] = x * table[i + 1] + y * table[i];
    }
  }
}

int64_t Rope::Bytes(const ModelConfig& config, int64_t positions) {
  return positions * config.head_dim * static_cast<int64_t>(sizeof(float));
}

}  // namespace llama
