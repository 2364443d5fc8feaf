#include "services/model/checkpoint/verify.h"

#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/printable.h"
#include "common/status_macros.h"
#include "services/model/checkpoint/crc32.h"
#include "services/model/checkpoint/parallel_for.h"

namespace llama {
namespace {

// Multiples of every element's size. What a thread takes at once, and the part of it that is looked
// at twice while it is in the first-level cache.
constexpr size_t kPieceBytes = size_t{4} << 20;
constexpr size_t kPartBytes = size_t{16} << 10;

// Whether the exponent of any element is all ones: an infinity or a NaN.
template <typename Bits>
[[gnu::always_inline]] inline bool ScanForNonFinite(std::span<const std::byte> bytes,
                                                    Bits exponent) {
  Bits found = 0;
  for (size_t at = 0; at + sizeof(Bits) <= bytes.size(); at += sizeof(Bits)) {
    Bits bits;
    std::memcpy(&bits, bytes.data() + at, sizeof bits);
    found |= static_cast<Bits>((bits & exponent) == exponent);
  }
  return found != 0;
}

#if defined(__x86_64__)
template <typename Bits>
[[gnu::target("avx2")]] bool ScanWithAvx2(std::span<const std::byte> bytes, Bits exponent) {
  return ScanForNonFinite(bytes, exponent);
}
#endif

template <typename Bits>
bool HasNonFinite(std::span<const std::byte> bytes, Bits exponent) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) return ScanWithAvx2(bytes, exponent);
#endif
  return ScanForNonFinite(bytes, exponent);
}

bool HasNonFinite(std::span<const std::byte> bytes, DataType type) {
  switch (type) {
    case DataType::kBf16:
      return HasNonFinite<uint16_t>(bytes, 0x7F80);
    case DataType::kF16:
      return HasNonFinite<uint16_t>(bytes, 0x7C00);
    case DataType::kF32:
      return HasNonFinite<uint32_t>(bytes, 0x7F800000);
  }
  return true;
}

struct CheckedPiece {
  size_t entry = 0;
  std::span<const std::byte> bytes;
  std::optional<DataType> type;  // Of the weights in it; none in data.pkl and the like.
  uint32_t crc32 = 0;
  bool finite = true;
};

std::vector<CheckedPiece> CutIntoPieces(const TorchFile& file) {
  std::vector<std::optional<DataType>> types(file.entries.size());
  for (const StoredTensor& tensor : file.tensors) types[tensor.entry] = tensor.info.type;
  std::vector<CheckedPiece> pieces;
  for (size_t entry = 0; entry < file.entries.size(); ++entry) {
    std::span<const std::byte> rest = file.entries[entry].data;
    do {
      const size_t size = std::min(rest.size(), kPieceBytes);
      pieces.push_back({.entry = entry, .bytes = rest.first(size), .type = types[entry]});
      rest = rest.subspan(size);
    } while (!rest.empty());
  }
  return pieces;
}

void Check(CheckedPiece& piece) {
  for (std::span<const std::byte> rest = piece.bytes; !rest.empty();) {
    const std::span<const std::byte> part = rest.first(std::min(rest.size(), kPartBytes));
    piece.crc32 = Crc32(part, piece.crc32);
    if (piece.type.has_value() && HasNonFinite(part, *piece.type)) piece.finite = false;
    rest = rest.subspan(part.size());
  }
}

// Tensors that share a storage may have so many times its elements together before a NaN or an
// infinity in it is not looked for among them any more: a forged file could have thousands of views
// that all leave it out.
constexpr size_t kMaxViewsPerElement = 8;

// Names the tensor and the element of an entry that has a NaN or an infinity. OK if no tensor uses
// that part of the entry.
absl::Status FindNonFinite(const TorchFile& file, size_t entry) {
  size_t bytes_left = kMaxViewsPerElement * file.entries[entry].data.size();
  for (const StoredTensor& tensor : file.tensors) {
    if (tensor.entry != entry) continue;
    // No larger than its storage, which opening the file has checked.
    size_t bytes = SizeOf(tensor.info.type);
    for (const int64_t size : tensor.info.shape) bytes *= static_cast<size_t>(size);
    if (bytes > bytes_left) {
      return absl::InvalidArgumentError(absl::StrCat(
          file.file.path(), ": entry \"", Printable(file.entries[entry].name),
          "\": expected finite weights, found NaN or infinity, and tensors that use it more than ",
          kMaxViewsPerElement, " times"));
    }
    bytes_left -= bytes;
    const std::vector<int64_t>& shape = tensor.info.shape;
    const size_t width = SizeOf(tensor.info.type);
    std::vector<int64_t> index(shape.size(), 0);
    for (bool more = true; more;) {
      int64_t offset = 0;
      for (size_t d = 0; d < shape.size(); ++d) offset += index[d] * tensor.strides[d];
      const std::span<const std::byte> element(tensor.data + static_cast<size_t>(offset) * width,
                                               width);
      if (HasNonFinite(element, tensor.info.type)) {
        return absl::InvalidArgumentError(absl::StrCat(
            file.file.path(), ": tensor \"",
            Printable(absl::string_view(tensor.info.name).substr(0, 200)), "\"[",
            absl::StrJoin(index, ", "), "]: expected a finite weight, found NaN or infinity"));
      }
      more = false;
      for (size_t d = shape.size(); d-- > 0 && !more;) {
        more = ++index[d] < shape[d];
        if (!more) index[d] = 0;
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status VerifyFile(const TorchFile& file, int threads,
                        const std::function<void(int64_t)>& on_bytes) {
  std::vector<CheckedPiece> pieces = CutIntoPieces(file);
  ParallelFor(pieces.size(), threads, [&](size_t i) {
    Check(pieces[i]);
    on_bytes(static_cast<int64_t>(pieces[i].bytes.size()));
  });

  size_t next = 0;
  for (size_t i = 0; i < file.entries.size(); ++i) {
    const ZipEntry& entry = file.entries[i];
    uint32_t found = 0;
    bool finite = true;
    for (; next < pieces.size() && pieces[next].entry == i; ++next) {
      found = static_cast<uint32_t>(crc32_combine(found, pieces[next].crc32,
                                                  static_cast<z_off_t>(pieces[next].bytes.size())));
      finite = finite && pieces[next].finite;
    }
    if (found != entry.crc32) {
      return absl::DataLossError(
          absl::StrFormat("%s: entry \"%s\": expected CRC-32 %08x, found %08x: the file is damaged",
                          file.file.path(), entry.name, entry.crc32, found));
    }
    if (!finite) RETURN_IF_ERROR(FindNonFinite(file, i));
  }
  return absl::OkStatus();
}

}  // namespace llama
