#include "tests/support/pickle_writer.h"

#include "absl/strings/str_cat.h"

namespace llama::pickle {
namespace {

template <typename T>
std::string Bytes(T number) {
  return std::string(reinterpret_cast<const char*>(&number), sizeof number);
}

std::string Numbers(const std::vector<int64_t>& numbers) {
  std::vector<std::string> items;
  for (const int64_t number : numbers) items.push_back(Number(number));
  return Tuple(items);
}

std::string StorageName(DataType type) {
  switch (type) {
    case DataType::kBf16:
      return "BFloat16Storage";
    case DataType::kF16:
      return "HalfStorage";
    case DataType::kF32:
      return "FloatStorage";
  }
  return "";
}

}  // namespace

std::string Text(const std::string& text) {
  return absl::StrCat("X", Bytes(static_cast<uint32_t>(text.size())), text);
}

std::string Number(int64_t number) {
  if (number >= 0 && number < 256) return absl::StrCat("K", Bytes(static_cast<uint8_t>(number)));
  if (number >= 0 && number < 65536) return absl::StrCat("M", Bytes(static_cast<uint16_t>(number)));
  if (number == static_cast<int32_t>(number)) {
    return absl::StrCat("J", Bytes(static_cast<int32_t>(number)));
  }
  return absl::StrCat("\x8a\x08", Bytes(number));
}

std::string Tuple(const std::vector<std::string>& items) {
  std::string bytes = "(";
  for (const std::string& item : items) bytes += item;
  return bytes + "t";
}

std::string Global(const std::string& module, const std::string& name) {
  return absl::StrCat("c", module, "\n", name, "\n");
}

std::string Call(const std::string& callee, const std::string& arguments) {
  return absl::StrCat(callee, arguments, "R");
}

std::string Storage(const Tensor& tensor) {
  return Tuple({Text("storage"), Global("torch", StorageName(tensor.type)), Text(tensor.key),
                Text(tensor.device), Number(tensor.elements)}) +
         "Q";
}

std::string Rebuild(const Tensor& tensor) {
  const std::string hooks = Call(Global("collections", "OrderedDict"), ")");
  return Call(Global("torch._utils", "_rebuild_tensor_v2"),
              Tuple({Storage(tensor), Number(tensor.offset), Numbers(tensor.shape),
                     Numbers(tensor.strides), "\x89", hooks}));
}

std::string StateDict(const std::vector<std::pair<std::string, std::string>>& items) {
  std::string bytes = "\x80\x02}(";
  for (const auto& [name, value] : items) absl::StrAppend(&bytes, Text(name), value);
  return bytes + "u.";
}

}  // namespace llama::pickle
