#ifndef LLAMA_SERVICES_MODEL_CHECKPOINT_PICKLE_WORDS_H_
#define LLAMA_SERVICES_MODEL_CHECKPOINT_PICKLE_WORDS_H_

#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"
#include "services/model/tensor/tensor.h"

// The words of Python's pickle language that a state dict is written in; all others are refused.
namespace llama::pickle_words {

// The opcodes that torch.save writes for a state dict (protocol 2).
enum Opcode : uint8_t {
  kMark = '(',
  kStop = '.',
  kBinInt = 'J',
  kBinInt1 = 'K',
  kBinInt2 = 'M',
  kNone = 'N',
  kBinPersistentId = 'Q',
  kReduce = 'R',
  kBinUnicode = 'X',
  kGlobalName = 'c',
  kBinGet = 'h',
  kLongBinGet = 'j',
  kBinPut = 'q',
  kLongBinPut = 'r',
  kSetItem = 's',
  kTupleFromMark = 't',
  kSetItems = 'u',
  kEmptyDict = '}',
  kEmptyTuple = ')',
  kProtocol = 0x80,
  kTuple1 = 0x85,
  kTuple2 = 0x86,
  kTuple3 = 0x87,
  kTrue = 0x88,
  kFalse = 0x89,
  kLong1 = 0x8a,
};

// The globals that a state dict needs; nothing else has a meaning here.
enum class Global {
  kOrderedDict,
  kRebuildTensor,
  kRebuildParameter,
  kBf16Storage,
  kF16Storage,
  kF32Storage,
};

inline std::optional<Global> FindGlobal(absl::string_view module, absl::string_view name) {
  struct Known {
    absl::string_view module, name;
    Global global;
  };
  static constexpr Known kKnown[] = {
      {"collections", "OrderedDict", Global::kOrderedDict},
      {"torch._utils", "_rebuild_tensor_v2", Global::kRebuildTensor},
      {"torch._utils", "_rebuild_parameter", Global::kRebuildParameter},
      {"torch", "BFloat16Storage", Global::kBf16Storage},
      {"torch", "HalfStorage", Global::kF16Storage},
      {"torch", "FloatStorage", Global::kF32Storage},
  };
  for (const Known& known : kKnown) {
    if (known.module == module && known.name == name) return known.global;
  }
  return std::nullopt;
}

inline std::optional<DataType> StorageType(Global global) {
  switch (global) {
    case Global::kBf16Storage:
      return DataType::kBf16;
    case Global::kF16Storage:
      return DataType::kF16;
    case Global::kF32Storage:
      return DataType::kF32;
    default:
      return std::nullopt;
  }
}

}  // namespace llama::pickle_words

#endif  // LLAMA_SERVICES_MODEL_CHECKPOINT_PICKLE_WORDS_H_
