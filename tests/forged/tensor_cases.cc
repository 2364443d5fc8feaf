#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "tests/forged/cases.h"

namespace llama::forged {
namespace {

constexpr size_t kWq = 3;
constexpr size_t kWk = 4;
const char kWqName[] = "layers.0.attention.wq.weight";

pickle::Tensor Wq() { return {.key = "3", .elements = 16, .shape = {4, 4}, .strides = {4, 1}}; }

class Builder {
 public:
  void Good(const std::string& name, const TorchParts& parts) {
    cases_.push_back(
        {absl::StrCat("tensor_good_", name), Reader::kModel, {}, WithWeights(parts.Write())});
  }
  void Bad(const std::string& name, const TorchParts& parts, std::vector<std::string> expected) {
    expected.insert(expected.begin(), kWeights);
    cases_.push_back({absl::StrCat("tensor_", name), Reader::kModel, std::move(expected),
                      WithWeights(parts.Write())});
  }
  void Add(Case added) { cases_.push_back(std::move(added)); }
  std::vector<Case> Take() { return std::move(cases_); }

 private:
  std::vector<Case> cases_;
};

TorchParts WithWq(const pickle::Tensor& tensor) {
  TorchParts parts = SmallParts();
  parts.items[kWq].second = pickle::Rebuild(tensor);
  return parts;
}

void AddViews(Builder& cases) {
  const auto numbers = [](const std::vector<int64_t>& list) { return absl::StrJoin(list, "_"); };
  pickle::Tensor tensor = Wq();
  tensor.strides = {1, 4};
  cases.Good("transposed", WithWq(tensor));
  for (const int64_t offset :
       {int64_t{1}, int64_t{15}, int64_t{16}, int64_t{1} << 32, int64_t{1} << 62, INT64_MAX}) {
    tensor = Wq();
    tensor.offset = offset;
    cases.Bad(absl::StrCat("offset_", offset), WithWq(tensor),
              {kWqName, "reaches past its storage of 16 elements"});
  }
  for (const std::vector<int64_t>& strides : {std::vector<int64_t>{5, 1},
                                              {4, 2},
                                              {1 << 30, 1},
                                              {INT64_MAX, 1},
                                              {1, INT64_MAX},
                                              {INT64_MAX / 3, INT64_MAX / 3},
                                              {INT64_MAX / 3 + 1, 1},
                                              {int64_t{1} << 62, int64_t{1} << 62}}) {
    tensor = Wq();
    tensor.strides = strides;
    cases.Bad(absl::StrCat("strides_", numbers(strides)), WithWq(tensor),
              {kWqName, "reaches past its storage of 16 elements"});
  }
  for (const std::vector<int64_t>& shape : {std::vector<int64_t>{5, 4},
                                            {INT64_MAX, 1},
                                            {INT64_MAX, INT64_MAX},
                                            {int64_t{1} << 32, int64_t{1} << 32},
                                            {1 << 20, 1 << 20}}) {
    tensor = Wq();
    tensor.shape = shape;
    cases.Bad(absl::StrCat("shape_", numbers(shape)), WithWq(tensor),
              {kWqName, "expected no more elements than its storage has"});
  }
  for (const std::vector<int64_t>& shape : {std::vector<int64_t>{0, 4}, {4, 0}, {0, 0}}) {
    tensor = Wq();
    tensor.shape = shape;
    cases.Bad(absl::StrCat("shape_", numbers(shape)), WithWq(tensor), {kWqName, "or is empty"});
  }
  for (const std::vector<int64_t>& shape :
       {std::vector<int64_t>{-4, 4}, {4, -4}, {-4, -4}, {INT64_MIN, 1}}) {
    tensor = Wq();
    tensor.shape = shape;
    cases.Bad(absl::StrCat("shape_", numbers(shape)), WithWq(tensor),
              {"a tensor's shape or strides: expected numbers of at least 0"});
    tensor = Wq();
    tensor.strides = shape;
    cases.Bad(absl::StrCat("strides_", numbers(shape)), WithWq(tensor),
              {"a tensor's shape or strides: expected numbers of at least 0"});
  }
  tensor = Wq();
  tensor.strides = {1};
  cases.Bad("strides_fewer", WithWq(tensor), {"a tensor's shape and strides differ in length"});
  tensor.strides = {4, 1, 1};
  cases.Bad("strides_more", WithWq(tensor), {"a tensor's shape and strides differ in length"});
  tensor.shape = std::vector<int64_t>(9, 1);
  tensor.strides = std::vector<int64_t>(9, 1);
  cases.Bad("nine_dimensions", WithWq(tensor), {"expected a tuple of at most 8 numbers"});
  tensor.shape = {};
  tensor.strides = {};
  cases.Bad("no_dimensions", WithWq(tensor), {kWqName, "expected shape [4, 4], found []"});
  tensor.shape = {2, 2, 4};
  tensor.strides = {8, 4, 1};
  cases.Bad("three_dimensions", WithWq(tensor),
            {kWqName, "expected shape [4, 4], found [2, 2, 4]"});
}

void AddStorages(Builder& cases) {
  for (const int64_t elements :
       {int64_t{0}, int64_t{15}, int64_t{17}, int64_t{1} << 62, INT64_MAX}) {
    pickle::Tensor tensor = Wq();
    tensor.elements = elements;
    cases.Bad(absl::StrCat("storage_of_", elements), WithWq(tensor),
              {kWqName, absl::StrCat("expected a storage of ", elements, " elements of bf16")});
  }
  for (const auto& [name, key] :
       std::vector<std::pair<std::string, std::string>>{{"none", "99"},
                                                        {"empty", ""},
                                                        {"up", "../version"},
                                                        {"spaces", " 3"},
                                                        {"zero", "03"},
                                                        {"escape", "\x1b[2J"},
                                                        {"nul", std::string("3\0", 2)}}) {
    pickle::Tensor tensor = Wq();
    tensor.key = key;
    cases.Bad("key_" + name, WithWq(tensor), {kWqName, "is not in the file"});
  }
  pickle::Tensor tensor = Wq();
  tensor.type = DataType::kF32;
  cases.Bad("storage_of_f32", WithWq(tensor),
            {kWqName, "expected a storage of 16 elements of f32"});
  tensor = Wq();
  tensor.type = DataType::kF16;
  tensor.key = absl::StrCat(kWk);
  cases.Bad("storage_of_two_types", WithWq(tensor), {"expected one type, found"});
  TorchParts parts = SmallParts();
  parts.storages[kWq].data.pop_back();
  cases.Bad("storage_odd", parts, {kWqName, "found an entry of 31 bytes"});
  parts.storages[kWq].data.clear();
  cases.Bad("storage_empty", parts, {kWqName, "found an entry of 0 bytes"});
  parts = SmallParts();
  parts.storages[kWq].data += "xx";
  cases.Bad("storage_longer", parts, {kWqName, "found an entry of 34 bytes"});
  parts = SmallParts();
  parts.storages.erase(parts.storages.begin() + kWq);
  cases.Bad("storage_missing", parts, {kWqName, "\"archive/data/3\" is not in the file"});
  tensor = Wq();
  tensor.elements = 1;
  tensor.strides = {0, 0};
  parts = WithWq(tensor);
  parts.storages[kWq].data.resize(2);
  cases.Bad("one_element_for_all", parts,
            {kWqName, "expected no more elements than its storage has"});
  // Shared in a way that is fine.
  tensor = Wq();
  tensor.key = absl::StrCat(kWk);
  parts = WithWq(tensor);
  parts.storages.erase(parts.storages.begin() + kWq);
  cases.Good("storage_shared", parts);
  parts = SmallParts();
  parts.storages.push_back({.name = "archive/byteorder", .data = "little"});
  cases.Good("little_endian", parts);
  parts.storages.back().data = "big";
  cases.Bad("big_endian", parts, {"entry byteorder: expected little"});
  parts.storages.back().data = "";
  cases.Bad("byteorder_empty", parts, {"entry byteorder: expected little"});
}

void AddNames(Builder& cases) {
  const TorchParts whole = SmallParts();
  cases.Good("all", whole);
  for (size_t i = 0; i < whole.items.size(); ++i) {
    const auto& [name, value] = whole.items[i];
    TorchParts parts = whole;
    parts.items.erase(parts.items.begin() + static_cast<ptrdiff_t>(i));
    if (name == "rope.freqs") {
      cases.Good("missing_rope_freqs", parts);
      continue;
    }
    const std::string plain = absl::StrReplaceAll(name, {{".", "_"}});
    cases.Bad("missing_" + plain, parts, {absl::StrCat("\"", name, "\": missing")});
    parts = whole;
    parts.items.push_back(parts.items[i]);
    cases.Bad("doubled_" + plain, parts, {absl::StrCat("\"", name, "\" stands there twice")});
    parts = whole;
    const std::vector<int64_t> shape = TinyTensors(SmallModel())[i].shape;
    pickle::Tensor flat = {.key = absl::StrCat(i),
                           .elements = static_cast<int64_t>(parts.storages[i].data.size() / 2),
                           .shape = {1, 1},
                           .strides = {1, 1}};
    parts.items[i].second = pickle::Rebuild(flat);
    cases.Bad("wrong_shape_" + plain, parts,
              {absl::StrCat("\"", name, "\": expected shape [", absl::StrJoin(shape, ", "),
                            "], found [1, 1]")});
  }
  for (const auto& [name, text] : std::vector<std::pair<std::string, std::string>>{
           {"layer_1", "layers.1.attention.wq.weight"},
           {"bias", "layers.0.attention.wq.bias"},
           {"empty", ""},
           {"case", "Output.weight"},
           {"blank", "output.weight "},
           {"zero", std::string("output.weight\0", 14)},
           {"long", std::string(10'000, 'x')},
           {"escape", "\x1b]0;title\x07"}}) {
    TorchParts parts = whole;
    parts.items.emplace_back(text, pickle::Rebuild(Wq()));
    cases.Bad("extra_" + name, parts, {"\": not a part of this model"});
  }
}

// A model of 1.6 billion weights that all lie in one storage of 2 MB, but for a NaN at its end.
void WriteManyViews(const std::string& folder) {
  constexpr int64_t kDim = 1024;
  const TinyModel large = {.dim = kDim,
                           .n_layers = 300,
                           .n_heads = 1,
                           .n_kv_heads = 1,
                           .vocab_size = 3,
                           .multiple_of = 512,
                           .ffn_dim_multiplier = 0.1};
  constexpr int64_t kHidden = 512;
  TorchParts parts;
  const auto add = [&parts](const std::string& name, const std::vector<int64_t>& shape) {
    pickle::Tensor view = {.key = "0", .elements = kDim * kDim + 1, .shape = shape};
    view.strides = shape.size() == 1 ? std::vector<int64_t>{1} : std::vector<int64_t>{shape[1], 1};
    parts.items.emplace_back(name, pickle::Rebuild(view));
  };
  add("tok_embeddings.weight", {3, kDim});
  add("norm.weight", {kDim});
  add("output.weight", {3, kDim});
  for (int64_t i = 0; i < large.n_layers; ++i) {
    const std::string layer = absl::StrCat("layers.", i, ".");
    for (const char* name : {"wq", "wk", "wv", "wo"}) {
      add(absl::StrCat(layer, "attention.", name, ".weight"), {kDim, kDim});
    }
    for (const char* name : {"w1", "w3"}) {
      add(absl::StrCat(layer, "feed_forward.", name, ".weight"), {kHidden, kDim});
    }
    add(absl::StrCat(layer, "feed_forward.w2.weight"), {kDim, kHidden});
    add(absl::StrCat(layer, "attention_norm.weight"), {kDim});
    add(absl::StrCat(layer, "ffn_norm.weight"), {kDim});
  }
  std::string storage(2 * (kDim * kDim + 1), '\0');
  storage[storage.size() - 2] = '\xC0';
  storage[storage.size() - 1] = '\x7F';
  parts.storages = {{.name = "archive/data/0", .data = std::move(storage)}};
  WriteFile(folder, kParams, TinyParams(large));
  WriteFile(folder, kWeights, parts.Write());
}

void AddValues(Builder& cases) {
  const std::vector<std::pair<std::string, float>> values = {
      {"nan", NAN}, {"minus_nan", -NAN}, {"infinity", INFINITY}, {"minus_infinity", -INFINITY}};
  for (const DataType type : {DataType::kBf16, DataType::kF16, DataType::kF32}) {
    const std::string in_type(NameOf(type));
    cases.Good("finite_" + in_type, MakeTorchParts(TinyTensors(SmallModel()), type));
    for (const auto& [name, value] : values) {
      std::vector<TinyTensor> tensors = TinyTensors(SmallModel());
      tensors[kWq].values[7] = value;
      cases.Bad(absl::StrCat(name, "_in_", in_type), MakeTorchParts(tensors, type),
                {absl::StrCat("\"", kWqName, "\"[1, 3]: expected a finite weight")});
      tensors = TinyTensors(SmallModel());
      tensors[1].values[0] = value;
      cases.Bad(absl::StrCat(name, "_in_a_norm_in_", in_type), MakeTorchParts(tensors, type),
                {"\"norm.weight\"[0]: expected a finite weight"});
    }
  }
  cases.Add({"tensor_nan_that_many_views_leave_out",
             Reader::kModel,
             {kWeights, "archive/data/0", "found NaN or infinity, and tensors that use it"},
             WriteManyViews});
  std::vector<TinyTensor> tensors = TinyTensors(SmallModel());
  tensors[kWq].values[7] = 3.4e38F;
  cases.Add({"tensor_beyond_bf16",
             Reader::kModel,
             {kWqName, "too large for bf16"},
             WithWeights(MakeTorchParts(tensors, DataType::kF32).Write())});
}

// The parts of a model that is cut over two files.
void AddParts(Builder& cases) {
  const std::vector<TinyTensor> whole = TinyTensors({});
  const auto two = [&](const std::vector<TinyTensor>& second, DataType type) {
    return [first = MakeTorchParts(FilePart(whole, 0, 2), DataType::kBf16).Write(),
            other = MakeTorchParts(second, type).Write()](const std::string& folder) {
      WriteFile(folder, kParams, TinyParams({}));
      WriteFile(folder, kWeights, first);
      WriteFile(folder, "consolidated.01.pth", other);
    };
  };
  const std::vector<TinyTensor> part = FilePart(whole, 1, 2);
  cases.Add({"tensor_good_two_files", Reader::kModel, {}, two(part, DataType::kBf16)});
  cases.Add({"tensor_files_of_two_types",
             Reader::kModel,
             {"consolidated.01.pth", "expected bf16 as in the first file, found f16"},
             two(part, DataType::kF16)});
  cases.Add({"tensor_second_file_whole",
             Reader::kModel,
             {"consolidated.01.pth", "expected shape"},
             two(whole, DataType::kBf16)});
  std::vector<TinyTensor> other = part;
  for (TinyTensor& tensor : other) {
    if (tensor.name == "norm.weight") tensor.values[3] += 0.25F;
  }
  cases.Add({"tensor_norms_differ",
             Reader::kModel,
             {"consolidated.01.pth", "norm.weight\": expected the same values"},
             two(other, DataType::kBf16)});
  cases.Add({"tensor_third_file_only",
             Reader::kModel,
             {"consolidated.01.pth"},
             [whole_file = SmallParts().Write()](const std::string& folder) {
               WriteFile(folder, kParams, TinyParams(SmallModel()));
               WriteFile(folder, kWeights, whole_file);
               WriteFile(folder, "consolidated.02.pth", whole_file);
             }});
}

}  // namespace

std::vector<Case> TensorCases() {
  Builder cases;
  AddViews(cases);
  AddStorages(cases);
  AddNames(cases);
  AddValues(cases);
  AddParts(cases);
  return cases.Take();
}

}  // namespace llama::forged
