#include "services/model/transformer/transformer.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "services/model/transformer/attention.h"
#include "services/model/transformer/rope.h"

namespace llama {
namespace {

constexpr size_t kRowsTogether = 4;  // Threads share rows in multiples of this: whole tiles.

float Element(const Matrix& matrix, size_t row, size_t col) {
  const size_t at = row * matrix.cols + col;
  return matrix.type == DataType::kBf16 ? ToFloat(matrix.bf16()[at]) : matrix.f32()[at];
}

// A buffer of activations as matrix products take them: bf16 or float32, [n, width].
class Activations {
 public:
  Activations(DataType type, size_t n, size_t width)
      : type_(type), width_(width), bytes_(n * width * SizeOf(type)) {}

  const void* row(size_t i) const { return bytes_.data() + i * width_ * SizeOf(type_); }
  // Rounds, if need be.
  void Set(size_t i, size_t col, float value) {
    if (type_ == DataType::kBf16) {
      reinterpret_cast<Bf16*>(bytes_.data())[i * width_ + col] = ToBf16(value);
    } else {
      reinterpret_cast<float*>(bytes_.data())[i * width_ + col] = value;
    }
  }

 private:
  const DataType type_;
  const size_t width_;
  std::vector<std::byte> bytes_;
};

// Root mean square normalisation (arXiv:1910.07467) of x into row i of `out`. Eight partial sums,
// in an order that the length alone decides.
void RmsNorm(const float* x, const Matrix& weight, double epsilon, Activations& out, size_t i) {
  double sums[8] = {};
  for (size_t c = 0; c < weight.cols; ++c) sums[c % 8] += double{x[c]} * x[c];
  double sum = 0;
  for (const double part : sums) sum += part;
  const auto scale =
      static_cast<float>(1 / std::sqrt(sum / static_cast<double>(weight.cols) + epsilon));
  for (size_t c = 0; c < weight.cols; ++c) {
    out.Set(i, c, x[c] * scale * Element(weight, 0, c));
  }
}

float Silu(float x) { return x / (1 + std::exp(-x)); }

void StoreRow(const float* values, size_t count, void* out, DataType type) {
  if (type == DataType::kF32) {
    std::copy(values, values + count, static_cast<float*>(out));
    return;
  }
  for (size_t i = 0; i < count; ++i) static_cast<Bf16*>(out)[i] = ToBf16(values[i]);
}

}  // namespace

struct Transformer::Impl {
  Impl(const ModelConfig& model_config, const ModelWeights& model_weights,
       const Kernels& model_kernels, ThreadTeam& thread_team,
       const TransformerOptions& transformer_options)
      : config(model_config),
        weights(model_weights),
        kernels(model_kernels),
        team(thread_team),
        options(transformer_options),
        rope(config, options.context_length),
        residual(Batch() * Dim()),
        queries(Batch() * Dim()),
        keys(Batch() * KvDim()),
        values(Batch() * KvDim()),
        product(Batch() * Dim()),
        gate(Batch() * Hidden()),
        up(Batch() * Hidden()),
        scores(team.size() * ScoresPerThread(config, options)),
        heads(team.size() *
              static_cast<size_t>(config.n_heads / config.n_kv_heads * config.head_dim)),
        normed(options.activations, Batch(), Dim()),
        rotated(options.activations, Batch(), Dim()),
        attended(options.activations, Batch(), Dim()),
        hidden(options.activations, Batch(), Hidden()),
        last(options.activations, static_cast<size_t>(options.max_batch_logits), Dim()) {
    logit_rows.reserve(static_cast<size_t>(options.max_batch_logits));
  }

  size_t Batch() const { return static_cast<size_t>(options.max_batch_tokens); }
  size_t Dim() const { return static_cast<size_t>(config.dim); }
  size_t KvDim() const { return static_cast<size_t>(config.kv_dim()); }
  size_t Hidden() const { return static_cast<size_t>(config.ffn_hidden_dim); }
  // Rows of scores are longer than the context by one: see Attention::Run().
  static size_t ScoresStride(const TransformerOptions& options) {
    return static_cast<size_t>(options.context_length) + 1;
  }
  static size_t ScoresPerThread(const ModelConfig& config, const TransformerOptions& options) {
    return static_cast<size_t>(config.n_heads / config.n_kv_heads) * ScoresStride(options);
  }

  // One thread's part of y = w x, for the first n rows of x. y: [n, w.rows].
  void Product(const Matrix& w, const Activations& x, size_t n, float* y, size_t thread) const {
    const auto [begin, end] = Share(w.rows, thread, team.size(), kRowsTogether);
    if (begin == end) return;
    if (options.activations == DataType::kBf16) {
      kernels.mat_mul_bf16(w.bf16() + begin * w.cols, end - begin, w.cols,
                           static_cast<const Bf16*>(x.row(0)), n, y + begin, w.rows);
    } else if (w.type == DataType::kBf16) {
      kernels.mat_mul_bf16_f32(w.bf16() + begin * w.cols, end - begin, w.cols,
                               static_cast<const float*>(x.row(0)), n, y + begin, w.rows);
    } else {
      kernels.mat_mul_f32(w.f32() + begin * w.cols, end - begin, w.cols,
                          static_cast<const float*>(x.row(0)), n, y + begin, w.rows);
    }
  }

  // Calls work(i, thread) for every i < count, shared among the threads.
  template <typename Work>
  void ForEach(size_t count, const Work& work) {
    team.Run([&](size_t thread) {
      const auto [begin, end] = Share(count, thread, team.size());
      for (size_t i = begin; i < end; ++i) work(i, thread);
    });
  }

  void Embed(std::span<const BatchToken> batch) {
    ForEach(batch.size(), [&](size_t i, size_t) {
      for (size_t c = 0; c < Dim(); ++c) {
        residual[i * Dim() + c] = Element(weights.tok_embeddings, batch[i].token, c);
      }
    });
  }

  void Norm(const Matrix& weight, size_t n) {
    ForEach(n, [&](size_t i, size_t) {
      RmsNorm(&residual[i * Dim()], weight, config.norm_eps, normed, i);
    });
  }

  // Turns queries and keys to their positions, and puts keys and values into the cache.
  void RotateAndStore(std::span<const BatchToken> batch, int64_t layer, KvCache& cache) {
    const auto head_dim = static_cast<size_t>(config.head_dim);
    ForEach(batch.size(), [&](size_t i, size_t) {
      const BatchToken& token = batch[i];
      rope.Rotate(&queries[i * Dim()], config.n_heads, token.position);
      rope.Rotate(&keys[i * KvDim()], config.n_kv_heads, token.position);
      for (size_t c = 0; c < Dim(); ++c) rotated.Set(i, c, queries[i * Dim() + c]);
      const KvBlock block = token.blocks[token.position / kKvBlockTokens];
      const size_t offset =
          token.position % kKvBlockTokens * head_dim * SizeOf(options.activations);
      for (int64_t head = 0; head < config.n_kv_heads; ++head) {
        const size_t from = i * KvDim() + static_cast<size_t>(head) * head_dim;
        StoreRow(&keys[from], head_dim,
                 static_cast<std::byte*>(cache.Keys(block, layer, head)) + offset,
                 options.activations);
        StoreRow(&values[from], head_dim,
                 static_cast<std::byte*>(cache.Values(block, layer, head)) + offset,
                 options.activations);
      }
    });
  }

  void Attend(std::span<const BatchToken> batch, int64_t layer, KvCache& cache) {
    const Attention attention = {.kernels = kernels,
                                 .cache = cache,
                                 .layer = layer,
                                 .head_dim = config.head_dim,
                                 .group = config.n_heads / config.n_kv_heads};
    const auto width = static_cast<size_t>(attention.group * config.head_dim);
    const auto kv_heads = static_cast<size_t>(config.n_kv_heads);
    ForEach(batch.size() * kv_heads, [&](size_t item, size_t thread) {
      const size_t i = item / kv_heads;
      const size_t head = item % kv_heads;
      float* const out = &heads[thread * width];
      const auto* const query = static_cast<const std::byte*>(rotated.row(i)) +
                                head * width * SizeOf(options.activations);
      attention.Run(batch[i].blocks, static_cast<int64_t>(head), batch[i].position, query,
                    &scores[thread * ScoresPerThread(config, options)], ScoresStride(options), out);
      for (size_t c = 0; c < width; ++c) attended.Set(i, head * width + c, out[c]);
    });
  }

  void AddProduct(const Matrix& w, const Activations& x, size_t n) {
    team.Run([&](size_t thread) {
      Product(w, x, n, product.data(), thread);
      // The rows that this thread has computed are the ones it adds.
      const auto [begin, end] = Share(w.rows, thread, team.size(), kRowsTogether);
      for (size_t i = 0; i < n; ++i) {
        for (size_t r = begin; r < end; ++r) residual[i * Dim() + r] += product[i * Dim() + r];
      }
    });
  }

  void Layer(std::span<const BatchToken> batch, int64_t index, KvCache& cache) {
    const LayerWeights& layer = weights.layers[static_cast<size_t>(index)];
    const size_t n = batch.size();

    Norm(layer.attention_norm, n);
    team.Run([&](size_t thread) {
      Product(layer.wq, normed, n, queries.data(), thread);
      Product(layer.wk, normed, n, keys.data(), thread);
      Product(layer.wv, normed, n, values.data(), thread);
    });
    RotateAndStore(batch, index, cache);
    Attend(batch, index, cache);
    AddProduct(layer.wo, attended, n);

    Norm(layer.ffn_norm, n);
    team.Run([&](size_t thread) {
      Product(layer.w1, normed, n, gate.data(), thread);
      Product(layer.w3, normed, n, up.data(), thread);
      // SwiGLU (arXiv:2002.05202), on the rows that this thread has computed.
      const auto [begin, end] = Share(Hidden(), thread, team.size(), kRowsTogether);
      for (size_t i = 0; i < n; ++i) {
        for (size_t r = begin; r < end; ++r) {
          hidden.Set(i, r, Silu(gate[i * Hidden() + r]) * up[i * Hidden() + r]);
        }
      }
    });
    AddProduct(layer.w2, hidden, n);
  }

  void Logits(std::span<const BatchToken> batch, std::span<float> logits) {
    logit_rows.clear();
    for (size_t i = 0; i < batch.size(); ++i) {
      if (batch[i].wants_logits) logit_rows.push_back(i);
    }
    if (logit_rows.empty()) return;
    ForEach(logit_rows.size(), [&](size_t i, size_t) {
      RmsNorm(&residual[logit_rows[i] * Dim()], weights.norm, config.norm_eps, last, i);
    });
    team.Run([&](size_t thread) {
      Product(weights.output, last, logit_rows.size(), logits.data(), thread);
    });
  }

  const ModelConfig& config;
  const ModelWeights& weights;
  const Kernels& kernels;
  ThreadTeam& team;
  const TransformerOptions options;
  const Rope rope;

  std::vector<float> residual;  // [batch, dim]
  std::vector<float> queries;   // [batch, dim]
  std::vector<float> keys;      // [batch, kv_dim]
  std::vector<float> values;    // [batch, kv_dim]
  std::vector<float> product;   // [batch, dim]
  std::vector<float> gate;      // [batch, ffn_hidden_dim]
  std::vector<float> up;        // [batch, ffn_hidden_dim]
  std::vector<float> scores;    // [threads, group, context_length + 1]
  std::vector<float> heads;     // [threads, group, head_dim]
  Activations normed;           // [batch, dim]
  Activations rotated;          // [batch, dim]: queries.
  Activations attended;         // [batch, dim]
  Activations hidden;           // [batch, ffn_hidden_dim]
  Activations last;             // [max_batch_logits, dim]
  std::vector<size_t> logit_rows;
};

Transformer::Transformer(const ModelConfig& config, const ModelWeights& weights,
                         const Kernels& kernels, ThreadTeam& team,
                         const TransformerOptions& options)
    : impl_(std::make_unique<Impl>(config, weights, kernels, team, options)) {}

Transformer::~Transformer() = default;

void Transformer::Forward(std::span<const BatchToken> batch, KvCache& cache,
                          std::span<float> logits) {
  impl_->Embed(batch);
  for (int64_t layer = 0; layer < impl_->config.n_layers; ++layer) {
    impl_->Layer(batch, layer, cache);
  }
  impl_->Logits(batch, logits);
}

const TransformerOptions& Transformer::options() const { return impl_->options; }

int64_t Transformer::ScratchBytes(const ModelConfig& config, const TransformerOptions& options,
                                  int64_t threads) {
  const auto element = static_cast<int64_t>(SizeOf(options.activations));
  const int64_t batch = options.max_batch_tokens;
  const int64_t f32_per_token = 3 * config.dim + 2 * config.kv_dim() + 2 * config.ffn_hidden_dim;
  const int64_t activations_per_token = 3 * config.dim + config.ffn_hidden_dim;
  const int64_t group = config.n_heads / config.n_kv_heads;
  return 4 * batch * f32_per_token + element * batch * activations_per_token +
         element * options.max_batch_logits * config.dim +
         4 * threads * group * (options.context_length + 1 + config.head_dim) +
         Rope::Bytes(config, options.context_length) +
         options.max_batch_logits * static_cast<int64_t>(sizeof(size_t));
}

}  // namespace llama
