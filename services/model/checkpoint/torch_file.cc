#include "services/model/checkpoint/torch_file.h"

#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/printable.h"
#include "common/status_macros.h"
#include "services/model/checkpoint/bytes.h"
#include "services/model/checkpoint/pickle_reader.h"

namespace llama {
namespace {

constexpr absl::string_view kPickleName = "/data.pkl";
// Of an entry that no tensor uses: version, byteorder and the like.
constexpr size_t kMaxUnusedBytes = size_t{64} << 10;

using EntryIndex = absl::flat_hash_map<absl::string_view, size_t>;

// "consolidated.00" of "consolidated.00/data.pkl".
absl::StatusOr<std::string> FindRoot(const std::vector<ZipEntry>& entries) {
  std::optional<std::string> root;
  for (const ZipEntry& entry : entries) {
    if (!absl::EndsWith(entry.name, kPickleName)) continue;
    if (root.has_value()) return absl::InvalidArgumentError("two entries named data.pkl");
    root = entry.name.substr(0, entry.name.size() - kPickleName.size());
  }
  if (!root.has_value()) {
    return absl::InvalidArgumentError("no entry data.pkl: not a file of torch.save's zip format");
  }
  return *root;
}

// The elements from the first to the last that the tensor touches: 1 + Σ (shape - 1) * stride.
// Nullopt if the sum overflows or the tensor is empty.
std::optional<int64_t> Reach(const PickledTensor& tensor) {
  int64_t reach = 1;
  for (size_t i = 0; i < tensor.shape.size(); ++i) {
    int64_t step = 0;
    if (tensor.shape[i] < 1 ||
        __builtin_mul_overflow(tensor.shape[i] - 1, tensor.strides[i], &step) ||
        __builtin_add_overflow(reach, step, &reach)) {
      return std::nullopt;
    }
  }
  return reach;
}

// Nullopt if the product overflows.
std::optional<int64_t> Count(const PickledTensor& tensor) {
  int64_t count = 1;
  for (const int64_t size : tensor.shape) {
    if (__builtin_mul_overflow(count, size, &count)) return std::nullopt;
  }
  return count;
}

// An entry's bytes have one type, so that verifying looks for NaN in all of them; and none is large
// for nothing, so that verifying takes no longer than the model justifies.
absl::Status CheckUseOfEntries(const TorchFile& torch, size_t pickle) {
  std::vector<const StoredTensor*> users(torch.entries.size());
  for (const StoredTensor& tensor : torch.tensors) {
    const StoredTensor*& first = users[tensor.entry];
    if (first == nullptr) first = &tensor;
    if (first->info.type == tensor.info.type) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("entry \"", torch.entries[tensor.entry].name, "\": expected one type, found ",
                     NameOf(first->info.type), " and ", NameOf(tensor.info.type)));
  }
  for (size_t i = 0; i < users.size(); ++i) {
    const ZipEntry& entry = torch.entries[i];
    if (users[i] != nullptr || i == pickle || entry.data.size() <= kMaxUnusedBytes) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("entry \"", entry.name, "\": expected at most ", kMaxUnusedBytes,
                     " bytes that no tensor uses, found ", entry.data.size()));
  }
  return absl::OkStatus();
}

absl::StatusOr<StoredTensor> Locate(const PickledTensor& tensor, const std::string& root,
                                    const std::vector<ZipEntry>& entries, const EntryIndex& index) {
  const auto refuse = [&tensor](absl::string_view what) {
    return absl::InvalidArgumentError(absl::StrCat(
        "tensor \"", Printable(absl::string_view(tensor.name).substr(0, 200)), "\": ", what));
  };
  const std::string name = absl::StrCat(root, "/data/", tensor.storage_key);
  const auto found = index.find(name);
  if (found == index.end()) {
    return refuse(
        absl::StrCat("its storage \"", Printable(name.substr(0, 200)), "\" is not in the file"));
  }
  const ZipEntry& entry = entries[found->second];
  const size_t element = SizeOf(tensor.type);
  const size_t elements = entry.data.size() / element;
  if (entry.data.size() % element != 0 ||
      static_cast<uint64_t>(tensor.storage_elements) != elements) {
    return refuse(absl::StrCat("expected a storage of ", tensor.storage_elements, " elements of ",
                               NameOf(tensor.type), ", found an entry of ", entry.data.size(),
                               " bytes"));
  }
  // Elements that overlap could make a small file ask for any amount of memory.
  const std::optional<int64_t> count = Count(tensor);
  if (!count.has_value() || static_cast<uint64_t>(*count) > elements) {
    return refuse(absl::StrCat("expected no more elements than its storage has, ", elements,
                               ", found the shape [", absl::StrJoin(tensor.shape, ", "), "]"));
  }
  const std::optional<int64_t> reach = Reach(tensor);
  int64_t end = 0;
  if (!reach.has_value() || __builtin_add_overflow(*reach, tensor.offset, &end) ||
      static_cast<uint64_t>(end) > elements) {
    return refuse(absl::StrCat("reaches past its storage of ", elements, " elements, or is empty"));
  }
  return StoredTensor{.info = {tensor.name, tensor.type, tensor.shape},
                      .data = entry.data.data() + static_cast<size_t>(tensor.offset) * element,
                      .strides = tensor.strides,
                      .entry = found->second};
}

absl::Status ReadTensors(TorchFile& torch) {
  ASSIGN_OR_RETURN(torch.entries, ReadZip(torch.file.bytes()));
  ASSIGN_OR_RETURN(const std::string root, FindRoot(torch.entries));
  EntryIndex index;
  for (size_t i = 0; i < torch.entries.size(); ++i) index[torch.entries[i].name] = i;
  if (const auto order = index.find(absl::StrCat(root, "/byteorder")); order != index.end()) {
    if (AsText(torch.entries[order->second].data) != "little") {
      return absl::InvalidArgumentError("entry byteorder: expected little");
    }
  }
  const size_t pickle = index[absl::StrCat(root, kPickleName)];
  ASSIGN_OR_RETURN(const std::vector<PickledTensor> tensors,
                   ReadStateDict(torch.entries[pickle].data));
  for (const PickledTensor& tensor : tensors) {
    ASSIGN_OR_RETURN(StoredTensor stored, Locate(tensor, root, torch.entries, index));
    torch.tensors.push_back(std::move(stored));
  }
  return CheckUseOfEntries(torch, pickle);
}

}  // namespace

absl::StatusOr<TorchFile> OpenTorchFile(const std::string& path) {
  ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(path));
  TorchFile torch = {.file = std::move(file), .entries = {}, .tensors = {}};
  if (const absl::Status status = ReadTensors(torch); !status.ok()) {
    return absl::Status(status.code(), absl::StrCat(path, ": ", status.message()));
  }
  return torch;
}

}  // namespace llama
