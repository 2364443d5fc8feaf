#include "services/model/checkpoint/pickle_reader.h"

#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "common/printable.h"
#include "common/status_macros.h"
#include "services/model/checkpoint/bytes.h"
#include "services/model/checkpoint/pickle_words.h"

namespace llama {
namespace {

using pickle_words::FindGlobal;
using pickle_words::Global;
using pickle_words::StorageType;
using enum pickle_words::Opcode;

constexpr size_t kMaxValues = 1'000'000;
// Of the dict, and made on the way. A model of 1024 layers has 9220.
constexpr size_t kMaxTensors = 20'000;
constexpr size_t kMaxDimensions = 8;
// Every tensor keeps a copy of its storage's key, and many may recall one text from the memo.
constexpr size_t kMaxStorageKeyBytes = 32;

enum class Kind { kNone, kBool, kInt, kText, kTuple, kDict, kGlobal, kStorage, kTensor };

// Values refer to each other by index, so nothing about them is recursive.
struct Value {
  Kind kind = Kind::kNone;
  int64_t number = 0;           // kInt, kBool; kGlobal: the Global; kTensor: index into tensors.
  absl::string_view text = {};  // kText.
  size_t begin = 0;             // kTuple, kStorage: their items in the pool.
  size_t size = 0;
};
using Index = uint32_t;

class Parser {
 public:
  explicit Parser(std::span<const std::byte> pickle) : pickle_(pickle) {}

  absl::StatusOr<std::vector<PickledTensor>> Parse() {
    bool stopped = false;
    while (!stopped) {
      opcode_at_ = at_;
      ASSIGN_OR_RETURN(const auto opcode, Take<uint8_t>());
      if (opcode_at_ == 0 && opcode != kProtocol) return Refuse("does not start with a protocol");
      if (opcode == kStop) {
        stopped = true;
      } else {
        RETURN_IF_ERROR(Perform(opcode));
      }
      if (values_.size() > kMaxValues) return Refuse("has too many values");
    }
    if (at_ != pickle_.size()) return Refuse("goes on after its end");
    if (stack_.size() != 1 || !marks_.empty()) return Refuse("does not end with one value");
    return Collect(stack_[0]);
  }

 private:
  absl::Status Refuse(absl::string_view what) const {
    return absl::InvalidArgumentError(absl::StrCat("pickle: byte ", opcode_at_, ": ", what));
  }

  absl::Status RefuseTensors() const {
    return Refuse(absl::StrCat("expected at most ", kMaxTensors, " tensors"));
  }

  template <typename T>
  absl::StatusOr<T> Take() {
    if (pickle_.size() - at_ < sizeof(T)) return Refuse("cut short");
    at_ += sizeof(T);
    return ReadNumber<T>(pickle_, at_ - sizeof(T));
  }
  absl::StatusOr<absl::string_view> TakeText(size_t size) {
    if (pickle_.size() - at_ < size) return Refuse("a text is longer than the file");
    at_ += size;
    return AsText(pickle_.subspan(at_ - size, size));
  }
  absl::StatusOr<absl::string_view> TakeLine() {
    const size_t size = AsText(pickle_.subspan(at_)).find('\n');
    if (size == absl::string_view::npos) return Refuse("cut short");
    ASSIGN_OR_RETURN(const absl::string_view line, TakeText(size));
    ++at_;
    return line;
  }

  absl::Status Push(Value value) {
    stack_.push_back(static_cast<Index>(values_.size()));
    values_.push_back(value);
    return absl::OkStatus();
  }
  // The items on the stack above the last mark, or above everything.
  size_t Floor() const { return marks_.empty() ? 0 : marks_.back(); }
  absl::StatusOr<Index> Pop() {
    if (stack_.size() <= Floor()) return Refuse("takes a value that is not there");
    const Index top = stack_.back();
    stack_.pop_back();
    return top;
  }
  absl::Status PushTuple(size_t count) {
    if (stack_.size() < Floor() + count) return Refuse("takes a value that is not there");
    const Value tuple = {.kind = Kind::kTuple, .begin = pool_.size(), .size = count};
    pool_.insert(pool_.end(), stack_.end() - static_cast<ptrdiff_t>(count), stack_.end());
    stack_.resize(stack_.size() - count);
    return Push(tuple);
  }
  absl::StatusOr<size_t> PopMark() {
    if (marks_.empty()) return Refuse("takes a mark that is not there");
    const size_t mark = marks_.back();
    marks_.pop_back();
    return mark;
  }

  absl::Status Perform(uint8_t opcode) {
    switch (opcode) {
      case kProtocol: {
        ASSIGN_OR_RETURN(const auto version, Take<uint8_t>());
        if (version == 2 && opcode_at_ == 0) return absl::OkStatus();
        return Refuse(absl::StrCat("expected protocol 2 at the start, found ", version));
      }
      case kMark:
        marks_.push_back(stack_.size());
        return marks_.size() < 1000 ? absl::OkStatus() : Refuse("is nested too deeply");
      case kNone:
        return Push({.kind = Kind::kNone});
      case kTrue:
      case kFalse:
        return Push({.kind = Kind::kBool, .number = opcode == kTrue});
      case kBinInt: {
        ASSIGN_OR_RETURN(const auto number, Take<int32_t>());
        return Push({.kind = Kind::kInt, .number = number});
      }
      case kBinInt1: {
        ASSIGN_OR_RETURN(const auto number, Take<uint8_t>());
        return Push({.kind = Kind::kInt, .number = number});
      }
      case kBinInt2: {
        ASSIGN_OR_RETURN(const auto number, Take<uint16_t>());
        return Push({.kind = Kind::kInt, .number = number});
      }
      case kLong1:
        return PushLong();
      case kBinUnicode: {
        ASSIGN_OR_RETURN(const auto size, Take<uint32_t>());
        ASSIGN_OR_RETURN(const absl::string_view text, TakeText(size));
        return Push({.kind = Kind::kText, .text = text});
      }
      case kGlobalName: {
        ASSIGN_OR_RETURN(const absl::string_view module, TakeLine());
        ASSIGN_OR_RETURN(const absl::string_view name, TakeLine());
        const std::optional<Global> global = FindGlobal(module, name);
        if (!global.has_value()) {
          return Refuse(absl::StrCat("names ", Printable(module.substr(0, 100)), ".",
                                     Printable(name.substr(0, 100)),
                                     ", which no checkpoint needs"));
        }
        return Push({.kind = Kind::kGlobal, .number = static_cast<int64_t>(*global)});
      }
      case kEmptyTuple:
        return PushTuple(0);
      case kTuple1:
        return PushTuple(1);
      case kTuple2:
        return PushTuple(2);
      case kTuple3:
        return PushTuple(3);
      case kTupleFromMark: {
        ASSIGN_OR_RETURN(const size_t mark, PopMark());
        return PushTuple(stack_.size() - mark);
      }
      case kEmptyDict:
        return Push({.kind = Kind::kDict});
      case kSetItem:
        return SetItems(stack_.size() < 2 ? 0 : stack_.size() - 2);
      case kSetItems: {
        ASSIGN_OR_RETURN(const size_t mark, PopMark());
        return SetItems(mark);
      }
      case kBinPut: {
        ASSIGN_OR_RETURN(const auto slot, Take<uint8_t>());
        return Put(slot);
      }
      case kLongBinPut: {
        ASSIGN_OR_RETURN(const auto slot, Take<uint32_t>());
        return Put(slot);
      }
      case kBinGet: {
        ASSIGN_OR_RETURN(const auto slot, Take<uint8_t>());
        return Get(slot);
      }
      case kLongBinGet: {
        ASSIGN_OR_RETURN(const auto slot, Take<uint32_t>());
        return Get(slot);
      }
      case kBinPersistentId:
        return PushStorage();
      case kReduce:
        return Reduce();
      default:
        return Refuse(absl::StrCat("opcode 0x", absl::Hex(opcode, absl::kZeroPad2),
                                   " is none that a checkpoint needs"));
    }
  }

  absl::Status PushLong() {
    ASSIGN_OR_RETURN(const auto size, Take<uint8_t>());
    if (size > 8) return Refuse("a number has more than 64 bits");
    ASSIGN_OR_RETURN(const absl::string_view digits, TakeText(size));
    uint64_t number = size > 0 && static_cast<int8_t>(digits.back()) < 0 ? ~uint64_t{0} : 0;
    for (size_t i = digits.size(); i-- > 0;) {
      number = number << 8 | static_cast<uint8_t>(digits[i]);
    }
    return Push({.kind = Kind::kInt, .number = static_cast<int64_t>(number)});
  }

  absl::Status Put(uint32_t slot) {
    if (stack_.size() <= Floor()) return Refuse("remembers a value that is not there");
    memo_[slot] = stack_.back();
    return absl::OkStatus();
  }
  absl::Status Get(uint32_t slot) {
    const auto found = memo_.find(slot);
    if (found == memo_.end()) return Refuse("recalls a value that was not remembered");
    if (stack_.size() >= kMaxValues) return Refuse("has too many values");
    stack_.push_back(found->second);
    return absl::OkStatus();
  }

  // Puts the pairs on the stack from `first` on into the dict below them.
  absl::Status SetItems(size_t first) {
    if (first <= Floor() || first > stack_.size() || (stack_.size() - first) % 2 != 0 ||
        values_[stack_[first - 1]].kind != Kind::kDict) {
      return Refuse("sets items of something that is no dict");
    }
    for (size_t i = first; i < stack_.size(); i += 2) {
      items_.push_back({stack_[first - 1], stack_[i], stack_[i + 1]});
    }
    stack_.resize(first);
    return absl::OkStatus();
  }

  const Value& Item(const Value& tuple, size_t i) const { return values_[pool_[tuple.begin + i]]; }

  // ('storage', torch.BFloat16Storage, key, device, elements)
  absl::Status PushStorage() {
    ASSIGN_OR_RETURN(const Index top, Pop());
    const Value& id = values_[top];
    if (id.kind != Kind::kTuple || id.size != 5 || Item(id, 0).kind != Kind::kText ||
        Item(id, 0).text != "storage" || Item(id, 1).kind != Kind::kGlobal ||
        !StorageType(static_cast<Global>(Item(id, 1).number)).has_value() ||
        Item(id, 2).kind != Kind::kText || Item(id, 2).text.size() > kMaxStorageKeyBytes ||
        Item(id, 3).kind != Kind::kText || Item(id, 4).kind != Kind::kInt ||
        Item(id, 4).number < 0) {
      return Refuse(
          "expected a storage of bfloat16, float16 or float32 numbers as persistent id, found "
          "something else");
    }
    return Push({.kind = Kind::kStorage, .begin = id.begin, .size = id.size});
  }

  absl::Status Reduce() {
    ASSIGN_OR_RETURN(const Index arguments_index, Pop());
    ASSIGN_OR_RETURN(const Index callee_index, Pop());
    const Value arguments = values_[arguments_index];
    const Value callee = values_[callee_index];
    if (callee.kind != Kind::kGlobal || arguments.kind != Kind::kTuple) {
      return Refuse("calls something that cannot be called");
    }
    switch (static_cast<Global>(callee.number)) {
      case Global::kOrderedDict:
        if (arguments.size != 0) return Refuse("expected OrderedDict(), found arguments");
        return Push({.kind = Kind::kDict});
      case Global::kRebuildParameter:  // (tensor, requires_grad, hooks)
        if (arguments.size != 3 || Item(arguments, 0).kind != Kind::kTensor) {
          return Refuse("_rebuild_parameter without a tensor");
        }
        return Push(Item(arguments, 0));
      case Global::kRebuildTensor:
        return PushTensor(arguments);
      default:
        return Refuse("calls a type of storage");
    }
  }

  absl::StatusOr<std::vector<int64_t>> Numbers(const Value& tuple) const {
    if (tuple.kind != Kind::kTuple || tuple.size > kMaxDimensions) {
      return Refuse(absl::StrCat("a tensor's shape or strides: expected a tuple of at most ",
                                 kMaxDimensions, " numbers"));
    }
    std::vector<int64_t> numbers;
    for (size_t i = 0; i < tuple.size; ++i) {
      if (Item(tuple, i).kind != Kind::kInt || Item(tuple, i).number < 0) {
        return Refuse("a tensor's shape or strides: expected numbers of at least 0");
      }
      numbers.push_back(Item(tuple, i).number);
    }
    return numbers;
  }

  // (storage, offset, shape, strides, requires_grad, hooks)
  absl::Status PushTensor(const Value& arguments) {
    if (arguments.size != 6 || Item(arguments, 0).kind != Kind::kStorage ||
        Item(arguments, 1).kind != Kind::kInt || Item(arguments, 1).number < 0) {
      return Refuse("_rebuild_tensor_v2 without a storage and an offset of at least 0");
    }
    if (tensors_.size() >= kMaxTensors) return RefuseTensors();
    const Value& storage = Item(arguments, 0);
    PickledTensor tensor = {.name = "",
                            .type = *StorageType(static_cast<Global>(Item(storage, 1).number)),
                            .storage_key = std::string(Item(storage, 2).text),
                            .storage_elements = Item(storage, 4).number,
                            .offset = Item(arguments, 1).number,
                            .shape = {},
                            .strides = {}};
    ASSIGN_OR_RETURN(tensor.shape, Numbers(Item(arguments, 2)));
    ASSIGN_OR_RETURN(tensor.strides, Numbers(Item(arguments, 3)));
    if (tensor.shape.size() != tensor.strides.size()) {
      return Refuse("a tensor's shape and strides differ in length");
    }
    tensors_.push_back(std::move(tensor));
    return Push({.kind = Kind::kTensor, .number = static_cast<int64_t>(tensors_.size()) - 1});
  }

  absl::StatusOr<std::vector<PickledTensor>> Collect(Index root) const {
    if (values_[root].kind != Kind::kDict) return Refuse("expected a dict of tensors");
    std::vector<PickledTensor> result;
    absl::flat_hash_set<absl::string_view> names;
    for (const DictItem& item : items_) {
      if (item.dict != root) continue;
      const Value& key = values_[item.key];
      if (key.kind != Kind::kText) return Refuse("expected a dict with names as keys");
      const std::string name = Printable(key.text.substr(0, 200));
      if (values_[item.value].kind != Kind::kTensor) {
        return Refuse(absl::StrCat("\"", name, "\": expected a tensor"));
      }
      if (!names.insert(key.text).second) {
        return Refuse(absl::StrCat("\"", name, "\" stands there twice"));
      }
      // One tensor may be recalled under any number of names.
      if (result.size() >= kMaxTensors) return RefuseTensors();
      result.push_back(tensors_[static_cast<size_t>(values_[item.value].number)]);
      result.back().name = std::string(key.text);
    }
    return result;
  }

  struct DictItem {
    Index dict, key, value;
  };

  const std::span<const std::byte> pickle_;
  size_t at_ = 0;
  size_t opcode_at_ = 0;
  std::vector<Value> values_;
  std::vector<Index> stack_;
  std::vector<size_t> marks_;    // Sizes of the stack.
  std::vector<Index> pool_;      // Of the tuples' items.
  std::vector<DictItem> items_;  // Of all dicts.
  std::vector<PickledTensor> tensors_;
  absl::flat_hash_map<uint32_t, Index> memo_;
};

}  // namespace

absl::StatusOr<std::vector<PickledTensor>> ReadStateDict(std::span<const std::byte> pickle) {
  if (pickle.size() > kMaxPickleBytes) {
    return absl::InvalidArgumentError(absl::StrCat("pickle: expected at most ", kMaxPickleBytes,
                                                   " bytes, found ", pickle.size()));
  }
  return Parser(pickle).Parse();
}

}  // namespace llama
