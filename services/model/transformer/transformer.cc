#include "services/model/transformer/transformer.h"

#include <algorithm>
#include <vector>

#include "services/model/threads/shared_rows.h"
#include "services/model/transformer/aligned_vector.h"
#include "services/model/transformer/attention.h"
#include "services/model/transformer/rope.h"

namespace llama {
namespace {

// Threads share rows in multiples of this: whole cache lines of float32 results.
constexpr size_t kRowsTogether = 16;
// Multiply-adds of the pieces of a product that whoever is free takes. Smaller ones cost more than
// they gain: columns are packed for each, and a single column reads rows in long streams.
constexpr size_t kLeastPiece = size_t{1} << 19;

float Element(const Matrix& matrix, size_t row, size_t col) {
  const size_t at = row * matrix.cols + col;
  return matrix.type == DataType::kBf16 ? ToFloat(matrix.bf16()[at]) : matrix.f32()[at];
}

// A buffer of activations as matrix products take them: bf16 or float32, [n, width].
class Activations {
 public:
  Activations(DataType type, size_t n, size_t width)
      : type_(type), width_(width), bytes_(n * width * SizeOf(type)) {}

  DataType type() const { return type_; }
  size_t width() const { return width_; }
  size_t row_bytes() const { return width_ * SizeOf(type_); }
  std::byte* bytes(size_t i) { return bytes_.data() + i * row_bytes(); }
  const std::byte* row(size_t i) const { return bytes_.data() + i * row_bytes(); }
  // REQUIRES: the type.
  Bf16* bf16(size_t i) { return reinterpret_cast<Bf16*>(bytes(i)); }
  float* f32(size_t i) { return reinterpret_cast<float*>(bytes(i)); }

 private:
  const DataType type_;
  const size_t width_;
  AlignedVector<std::byte> bytes_;
};

// Tokens of a batch that attention takes together: they follow one another in it.
struct AttentionTile {
  size_t first = 0;  // Index in the batch.
  AttentionTokens tokens;
};

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
        scratch(team.size() * ScratchPerThread(config, options)),
        normed(options.activations, Batch(), Dim()),
        rotated(options.activations, Batch(), Dim()),
        attended(options.activations, Batch(), Dim()),
        hidden(options.activations, Batch(), Hidden()),
        last(options.activations, static_cast<size_t>(options.max_batch_logits), Dim()),
        packed(PackedElements(config, options, kernels)) {
    logit_rows.reserve(static_cast<size_t>(options.max_batch_logits));
    tiles.reserve(Batch());
  }

  size_t Batch() const { return static_cast<size_t>(options.max_batch_tokens); }
  size_t Dim() const { return static_cast<size_t>(config.dim); }
  size_t KvDim() const { return static_cast<size_t>(config.kv_dim()); }
  size_t Hidden() const { return static_cast<size_t>(config.ffn_hidden_dim); }
  static size_t ScratchPerThread(const ModelConfig& config, const TransformerOptions& options) {
    return Attention::ScratchFloats(config.n_heads / config.n_kv_heads, config.head_dim,
                                    options.context_length);
  }

  static bool Packs(const TransformerOptions& options, const Kernels& kernels) {
    return options.activations == DataType::kBf16 && kernels.pack_bf16 != nullptr;
  }
  static size_t PackedElements(const ModelConfig& config, const TransformerOptions& options,
                               const Kernels& kernels) {
    if (!Packs(options, kernels)) return 0;
    return PackedLength(
        static_cast<size_t>(std::max(options.max_batch_tokens, options.max_batch_logits)),
        static_cast<size_t>(std::max(config.dim, config.ffn_hidden_dim)));
  }

  // The first n rows of x as products take them: until the next call.
  const void* Columns(const Activations& x, size_t n) {
    if (!Packs(options, kernels)) return x.row(0);
    const auto* const rows = reinterpret_cast<const Bf16*>(x.row(0));
    ForEach((n + kPackColumns - 1) / kPackColumns, kPackColumns * x.width(), [&](size_t tile) {
      const size_t begin = tile * kPackColumns;
      kernels.pack_bf16(rows, x.width(), n, begin, std::min(n, begin + kPackColumns),
                        packed.data());
    });
    return packed.data();
  }

  // Rows [begin, end) of y = w x, for n Columns() x. y: [n, w.rows].
  void Product(const Matrix& w, const void* x, size_t n, float* y, size_t begin, size_t end) const {
    if (options.activations == DataType::kBf16) {
      kernels.mat_mul_bf16(w.bf16() + begin * w.cols, end - begin, w.cols,
                           static_cast<const Bf16*>(x), n, y + begin, w.rows);
    } else if (w.type == DataType::kBf16) {
      kernels.mat_mul_bf16_f32(w.bf16() + begin * w.cols, end - begin, w.cols,
                               static_cast<const float*>(x), n, y + begin, w.rows);
    } else {
      kernels.mat_mul_f32(w.f32() + begin * w.cols, end - begin, w.cols,
                          static_cast<const float*>(x), n, y + begin, w.rows);
    }
  }

  // Rows of `multiply_adds` each.
  SharedRows Rows(size_t rows, size_t multiply_adds) const {
    return {rows, team.size(), kRowsTogether, kLeastPiece / multiply_adds};
  }

  // Calls work(thread) for each thread, at the same time if what they do together is worth it.
  template <typename Work>
  void Run(size_t multiply_adds, const Work& work) {
    if (multiply_adds >= static_cast<size_t>(options.worth_waking)) return team.Run(work);
    for (size_t thread = 0; thread < team.size(); ++thread) work(thread);
  }

  // Calls work(i) for every i < count, shared among the threads. `multiply_adds` of each.
  template <typename Work>
  void ForEach(size_t count, size_t multiply_adds, const Work& work) {
    Run(count * multiply_adds, [&](size_t thread) {
      const auto [begin, end] = Share(count, thread, team.size());
      for (size_t i = begin; i < end; ++i) work(i);
    });
  }

  void Embed(std::span<const BatchToken> batch) {
    ForEach(batch.size(), Dim(), [&](size_t i) {
      for (size_t c = 0; c < Dim(); ++c) {
        residual[i * Dim() + c] = Element(weights.tok_embeddings, batch[i].token, c);
      }
    });
  }

  void RmsNorm(const float* x, const Matrix& weight, Activations& out, size_t i) const {
    if (out.type() == DataType::kBf16) {
      kernels.rms_norm_bf16(x, weight.bf16(), weight.cols, config.norm_eps, out.bf16(i));
    } else if (weight.type == DataType::kBf16) {
      kernels.rms_norm_bf16_f32(x, weight.bf16(), weight.cols, config.norm_eps, out.f32(i));
    } else {
      kernels.rms_norm_f32(x, weight.f32(), weight.cols, config.norm_eps, out.f32(i));
    }
  }

  void Norm(const Matrix& weight, size_t n) {
    ForEach(n, 2 * Dim(), [&](size_t i) { RmsNorm(&residual[i * Dim()], weight, normed, i); });
  }

  // Rounds, if the activations are bf16.
  void StoreRow(const float* row, size_t count, void* out) const {
    if (options.activations == DataType::kBf16) {
      kernels.round_bf16(row, count, static_cast<Bf16*>(out));
    } else {
      std::copy(row, row + count, static_cast<float*>(out));
    }
  }

  // Turns queries and keys to their positions, and puts keys and values into the cache.
  void RotateAndStore(std::span<const BatchToken> batch, int64_t layer, KvCache& cache) {
    const auto head_dim = static_cast<size_t>(config.head_dim);
    ForEach(batch.size(), 4 * Dim(), [&](size_t i) {
      const BatchToken& token = batch[i];
      rope.Rotate(&queries[i * Dim()], config.n_heads, token.position);
      rope.Rotate(&keys[i * KvDim()], config.n_kv_heads, token.position);
      StoreRow(&queries[i * Dim()], Dim(), rotated.bytes(i));
      const KvBlock block = token.blocks[token.position / kKvBlockTokens];
      const size_t place = token.position % kKvBlockTokens;
      for (int64_t head = 0; head < config.n_kv_heads; ++head) {
        const size_t from = i * KvDim() + static_cast<size_t>(head) * head_dim;
        void* const key_block = cache.Keys(block, layer, head);
        if (options.activations == DataType::kBf16) {
          StoreKey(&keys[from], head_dim, place, static_cast<Bf16*>(key_block));
        } else {
          StoreKey(&keys[from], head_dim, place, static_cast<float*>(key_block));
        }
        auto* const value_block = static_cast<std::byte*>(cache.Values(block, layer, head));
        StoreRow(&values[from], head_dim,
                 value_block + place * head_dim * SizeOf(options.activations));
      }
    });
  }

  // Joins neighbours in the batch that follow one another in a sequence.
  void FindTiles(std::span<const BatchToken> batch) {
    const int64_t most = Attention::MostTokens(config.n_heads / config.n_kv_heads);
    tiles.clear();
    for (size_t i = 0; i < batch.size(); ++i) {
      if (!tiles.empty()) {
        AttentionTokens& before = tiles.back().tokens;
        if (before.blocks.data() == batch[i].blocks.data() && before.count < most &&
            before.position + before.count == batch[i].position) {
          ++before.count;
          continue;
        }
      }
      tiles.push_back(
          {.first = i, .tokens = {.blocks = batch[i].blocks, .position = batch[i].position}});
    }
  }

  void Attend(int64_t layer, KvCache& cache) {
    const Attention attention = {.kernels = kernels,
                                 .cache = cache,
                                 .layer = layer,
                                 .head_dim = config.head_dim,
                                 .group = config.n_heads / config.n_kv_heads,
                                 .context_length = options.context_length};
    const auto width = static_cast<size_t>(attention.group * config.head_dim);
    const auto kv_heads = static_cast<size_t>(config.n_kv_heads);
    const size_t per_thread = ScratchPerThread(config, options);
    size_t seen = 0;  // Positions, by all tokens.
    for (const AttentionTile& tile : tiles) {
      seen += static_cast<size_t>(tile.tokens.count * (tile.tokens.position + tile.tokens.count));
    }
    Run(2 * Dim() * seen, [&](size_t thread) {
      // Later tokens see more: a thread takes every so manieth tile and head.
      for (size_t item = thread; item < tiles.size() * kv_heads; item += team.size()) {
        const AttentionTile& tile = tiles[item / kv_heads];
        const size_t head = item % kv_heads;
        const size_t offset = head * width * SizeOf(options.activations);
        const float* out =
            attention.Run(tile.tokens, static_cast<int64_t>(head), rotated.row(tile.first) + offset,
                          rotated.row_bytes(), std::span(scratch).subspan(thread * per_thread));
        for (size_t i = 0; i < static_cast<size_t>(tile.tokens.count); ++i, out += width) {
          StoreRow(out, width, attended.bytes(tile.first + i) + offset);
        }
      }
    });
  }

  void AddProduct(const Matrix& w, const Activations& x, size_t n) {
    const void* const columns = Columns(x, n);
    SharedRows rows = Rows(w.rows, w.cols * n);
    Run(w.rows * w.cols * n, [&](size_t thread) {
      rows.Take(thread, [&](size_t begin, size_t end) {
        Product(w, columns, n, product.data(), begin, end);
        for (size_t i = 0; i < n; ++i) {
          for (size_t r = begin; r < end; ++r) residual[i * Dim() + r] += product[i * Dim() + r];
        }
      });
    });
  }

  void Layer(std::span<const BatchToken> batch, int64_t index, KvCache& cache) {
    const LayerWeights& layer = weights.layers[static_cast<size_t>(index)];
    const size_t n = batch.size();

    Norm(layer.attention_norm, n);
    const void* columns = Columns(normed, n);
    SharedRows key_rows = Rows(KvDim(), 2 * Dim() * n);
    SharedRows query_rows = Rows(Dim(), Dim() * n);
    Run((Dim() + 2 * KvDim()) * Dim() * n, [&](size_t thread) {
      key_rows.Take(thread, [&](size_t begin, size_t end) {
        Product(layer.wk, columns, n, keys.data(), begin, end);
        Product(layer.wv, columns, n, values.data(), begin, end);
      });
      query_rows.Take(thread, [&](size_t begin, size_t end) {
        Product(layer.wq, columns, n, queries.data(), begin, end);
      });
    });
    RotateAndStore(batch, index, cache);
    Attend(index, cache);
    AddProduct(layer.wo, attended, n);

    Norm(layer.ffn_norm, n);
    columns = Columns(normed, n);
    SharedRows hidden_rows = Rows(Hidden(), 2 * Dim() * n);
    Run(2 * Hidden() * Dim() * n, [&](size_t thread) {
      hidden_rows.Take(thread, [&](size_t begin, size_t end) {
        Product(layer.w1, columns, n, gate.data(), begin, end);
        Product(layer.w3, columns, n, up.data(), begin, end);
        // SwiGLU (arXiv:2002.05202).
        for (size_t i = 0; i < n; ++i) {
          const size_t at = i * Hidden() + begin;
          if (hidden.type() == DataType::kBf16) {
            kernels.silu_mul_bf16(&gate[at], &up[at], end - begin, hidden.bf16(i) + begin);
          } else {
            kernels.silu_mul_f32(&gate[at], &up[at], end - begin, hidden.f32(i) + begin);
          }
        }
      });
    });
    AddProduct(layer.w2, hidden, n);
  }

  void Logits(std::span<const BatchToken> batch, std::span<float> logits) {
    logit_rows.clear();
    for (size_t i = 0; i < batch.size(); ++i) {
      if (batch[i].wants_logits) logit_rows.push_back(i);
    }
    if (logit_rows.empty()) return;
    ForEach(logit_rows.size(), 2 * Dim(),
            [&](size_t i) { RmsNorm(&residual[logit_rows[i] * Dim()], weights.norm, last, i); });
    const void* const columns = Columns(last, logit_rows.size());
    SharedRows rows = Rows(weights.output.rows, Dim() * logit_rows.size());
    Run(weights.output.rows * Dim() * logit_rows.size(), [&](size_t thread) {
      rows.Take(thread, [&](size_t begin, size_t end) {
        Product(weights.output, columns, logit_rows.size(), logits.data(), begin, end);
      });
    });
  }

  const ModelConfig& config;
  const ModelWeights& weights;
  const Kernels& kernels;
  ThreadTeam& team;
  const TransformerOptions options;
  const Rope rope;

  AlignedVector<float> residual;  // [batch, dim]
  AlignedVector<float> queries;   // [batch, dim]
  AlignedVector<float> keys;      // [batch, kv_dim]
  AlignedVector<float> values;    // [batch, kv_dim]
  AlignedVector<float> product;   // [batch, dim]
  AlignedVector<float> gate;      // [batch, ffn_hidden_dim]
  AlignedVector<float> up;        // [batch, ffn_hidden_dim]
  AlignedVector<float> scratch;   // [threads, Attention::ScratchFloats()]
  Activations normed;             // [batch, dim]
  Activations rotated;            // [batch, dim]: queries.
  Activations attended;           // [batch, dim]
  Activations hidden;             // [batch, ffn_hidden_dim]
  Activations last;               // [max_batch_logits, dim]
  AlignedVector<Bf16> packed;     // Columns() of one of these.
  std::vector<size_t> logit_rows;
  std::vector<AttentionTile> tiles;
};

Transformer::Transformer(const ModelConfig& config, const ModelWeights& weights,
                         const Kernels& kernels, ThreadTeam& team,
                         const TransformerOptions& options)
    : impl_(std::make_unique<Impl>(config, weights, kernels, team, options)) {}

Transformer::~Transformer() = default;

void Transformer::Forward(std::span<const BatchToken> batch, KvCache& cache,
                          std::span<float> logits, absl::FunctionRef<void()> after_layer) {
  impl_->FindTiles(batch);
  impl_->Embed(batch);
  for (int64_t layer = 0; layer < impl_->config.n_layers; ++layer) {
    impl_->Layer(batch, layer, cache);
    after_layer();
  }
  impl_->Logits(batch, logits);
}

ThreadTeam& Transformer::team() const { return impl_->team; }
const TransformerOptions& Transformer::options() const { return impl_->options; }

int64_t Transformer::ScratchBytes(const ModelConfig& config, const Kernels& kernels,
                                  const TransformerOptions& options, int64_t threads) {
  const auto element = static_cast<int64_t>(SizeOf(options.activations));
  const int64_t batch = options.max_batch_tokens;
  const int64_t f32_per_token = 3 * config.dim + 2 * config.kv_dim() + 2 * config.ffn_hidden_dim;
  const int64_t activations_per_token = 3 * config.dim + config.ffn_hidden_dim;
  const int64_t group = config.n_heads / config.n_kv_heads;
  return 4 * batch * f32_per_token + element * batch * activations_per_token +
         element * options.max_batch_logits * config.dim +
         4 * threads *
             static_cast<int64_t>(
                 Attention::ScratchFloats(group, config.head_dim, options.context_length)) +
         static_cast<int64_t>(Impl::PackedElements(config, options, kernels) * sizeof(Bf16)) +
         Rope::Bytes(config, options.context_length) +
         options.max_batch_logits * static_cast<int64_t>(sizeof(size_t)) +
         batch * static_cast<int64_t>(sizeof(AttentionTile));
}

}  // namespace llama
