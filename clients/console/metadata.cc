#include "clients/console/metadata.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace llama {
namespace {

absl::string_view TypeName(v1::DataType type) {
  switch (type) {
    case v1::DATA_TYPE_BF16:
      return "BF16";
    case v1::DATA_TYPE_F32:
      return "F32";
    case v1::DATA_TYPE_F16:
      return "F16";
    default:
      return "?";
  }
}

std::string Line(absl::string_view name, absl::string_view value) {
  return absl::StrFormat("%-60s = %s\n", name, value);
}

std::string Count(int64_t count) {
  const auto value = static_cast<double>(count);
  if (count >= 1'000'000'000) return absl::StrFormat("%.2f B", value / 1e9);
  if (count >= 1'000'000) return absl::StrFormat("%.2f M", value / 1e6);
  if (count >= 1'000) return absl::StrFormat("%.2f K", value / 1e3);
  return absl::StrCat(count);
}

std::string ByteSize(int64_t bytes) {
  const auto value = static_cast<double>(bytes);
  if (bytes >= int64_t{1} << 30) return absl::StrFormat("%.2f GB", value / (1 << 30));
  if (bytes >= 1 << 20) return absl::StrFormat("%.2f MB", value / (1 << 20));
  return absl::StrFormat("%.2f KB", value / (1 << 10));
}

std::string ModelType(const v1::GetModelInfoResponse& model) {
  const v1::ModelDimensions& d = model.dimensions();
  if (d.dim() == 4096 && d.n_layers() == 32) return "7B";
  if (d.dim() == 5120 && d.n_layers() == 40) return "13B";
  if (d.dim() == 8192 && d.n_layers() == 80) return "70B";
  return Count(model.parameter_count());
}

}  // namespace

std::string RenderMetadata(const v1::GetInfoResponse& info) {
  const v1::GetModelInfoResponse& model = info.model();
  const v1::ModelDimensions& d = model.dimensions();
  std::string text = "Tensors:\n";
  for (int i = 0; i < model.tensors_size(); ++i) {
    const v1::TensorInfo& tensor = model.tensors(i);
    absl::StrAppendFormat(&text, "Tensor %4d: %-48s | %-6s | [%s]\n", i, tensor.name(),
                          TypeName(tensor.data_type()), absl::StrJoin(tensor.shape(), " "));
  }
  absl::StrAppend(&text, "\nModel Metadata:\n\nProperties from model files:\n",
                  Line("Format", model.format()), Line("Architecture", model.architecture()),
                  Line("Vocabulary type", "SentencePiece BPE"),
                  "\nProperties from model configuration:\n");
  absl::StrAppend(
      &text, Line("VocabSize (tokenizer length)", absl::StrCat(d.vocab_size())),
      Line("MaxSequenceLength (max context length)", absl::StrCat(model.context_length())),
      Line("Dim (embedding dimension)", absl::StrCat(d.dim())),
      Line("N_Heads (attention head count)", absl::StrCat(d.n_heads())),
      Line("N_KVHeads (attention head count KV)",
           absl::StrCat(d.n_kv_heads(),
                        d.n_kv_heads_given() ? "" : " (set to default value of N_Heads)")),
      Line("N_Layers (layer count)", absl::StrCat(d.n_layers())),
      Line("NormEpsilon (attention layernorm epsilon)", absl::StrFormat("%.1e", d.norm_eps())),
      Line("MultipleOf (for feed forward SwiGLU alignment)", absl::StrCat(d.multiple_of())),
      Line("FFNDimMultiplier (custom multiplier for hidden dimension)",
           d.has_ffn_dim_multiplier() ? absl::StrCat(d.ffn_dim_multiplier()) : "None"));
  absl::StrAppend(&text, "\nProperties by calculation:\n",
                  Line("HeadDim (dimension of each attention head)", absl::StrCat(d.head_dim())),
                  Line("FFNHiddenDim (feed forward network hidden layer dimension)",
                       absl::StrCat(d.ffn_hidden_dim())),
                  "\nModel statistics:\n");
  const double bits = 8.0 * static_cast<double>(model.weight_bytes()) /
                      static_cast<double>(std::max<int64_t>(model.parameter_count(), 1));
  absl::StrAppend(&text, Line("Model type", ModelType(model)),
                  Line("Model element count", Count(model.parameter_count())),
                  Line("Model size", absl::StrFormat("%s (%.2f bits per element)",
                                                     ByteSize(model.weight_bytes()), bits)),
                  "\nModel metadata was printed.\n");
  return text;
}

std::string RenderSummary(const v1::GetInfoResponse& info) {
  const v1::GetModelInfoResponse& model = info.model();
  return absl::StrCat("Model          : ", model.model().name(), "\n",
                      "Parameters     : ", Count(model.parameter_count()), ", ",
                      ByteSize(model.weight_bytes()), "\n",
                      "Layers         : ", model.dimensions().n_layers(), "\n",
                      "Context length : ", model.context_length(), " tokens\n",
                      "Vocabulary     : ", info.tokenizer().vocabulary_size(), " tokens\n",
                      "Computes with  : ", info.compute_plan().instruction_set(), ", ",
                      info.compute_plan().threads(),
                      info.compute_plan().threads() == 1 ? " thread" : " threads", "\n");
}

}  // namespace llama
