#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "tests/forged/cases.h"

namespace llama::forged {
namespace {

using pickle::Call;
using pickle::Global;
using pickle::Number;
using pickle::Text;
using pickle::Tuple;

// wq's storage and tensor in the small model's file.
pickle::Tensor Wq() { return {.key = "3", .elements = 16, .shape = {4, 4}, .strides = {4, 1}}; }
constexpr size_t kWq = 3;

// The file with this data.pkl.
std::string WithPickle(const std::string& pickle) {
  std::vector<ZipPart> entries = {{.name = "archive/data.pkl", .data = pickle}};
  const TorchParts parts = SmallParts();
  entries.insert(entries.end(), parts.storages.begin(), parts.storages.end());
  return WriteZip(entries);
}
// The file with this for wq.
std::string WithValue(const std::string& value) {
  TorchParts parts = SmallParts();
  parts.items[kWq].second = value;
  return parts.Write();
}

class Builder {
 public:
  void Good(const std::string& name, std::string weights) {
    cases_.push_back(
        {absl::StrCat("pickle_good_", name), Reader::kModel, {}, WithWeights(weights)});
  }
  void Bad(const std::string& name, std::string weights, const std::string& expected) {
    cases_.push_back({absl::StrCat("pickle_", name),
                      Reader::kModel,
                      {kWeights, expected},
                      WithWeights(std::move(weights))});
  }
  // What is large is made when it is written.
  void Large(const std::string& name, std::function<std::string()> make_pickle,
             const std::string& expected) {
    cases_.push_back({absl::StrCat("pickle_", name),
                      Reader::kModel,
                      {kWeights, expected},
                      [make_pickle = std::move(make_pickle)](const std::string& folder) {
                        WithWeights(WithPickle(make_pickle()))(folder);
                      }});
  }
  std::vector<Case> Take() { return std::move(cases_); }

 private:
  std::vector<Case> cases_;
};

// Every opcode of pickletools that torch.save does not write for a state dict.
void AddOpcodes(Builder& cases) {
  const std::vector<std::pair<std::string, std::string>> opcodes = {
      {"POP", "0"},
      {"POP_MARK", "1"},
      {"DUP", "2"},
      {"FLOAT", "F1.5\n"},
      {"INT", "I5\n"},
      {"LONG", "L5L\n"},
      {"PERSID", "Pstorage\n"},
      {"STRING", "S'x'\n"},
      {"BINSTRING", std::string("T\1\0\0\0x", 6)},
      {"SHORT_BINSTRING", "U\1x"},
      {"UNICODE", "Vx\n"},
      {"APPEND", "a"},
      {"BUILD", "b"},
      {"DICT", "(d"},
      {"APPENDS", "e"},
      {"GET", "g0\n"},
      {"INST", "(iposix\nsystem\n"},
      {"LIST", "(l"},
      {"OBJ", "(cposix\nsystem\no"},
      {"PUT", "p0\n"},
      {"BINFLOAT", "G\1\2\3\4\5\6\7\x08"},
      {"EMPTY_LIST", "]"},
      {"BINBYTES", std::string("B\1\0\0\0x", 6)},
      {"SHORT_BINBYTES", "C\1x"},
      {"NEWOBJ", "\x81"},
      {"EXT1", "\x82\x01"},
      {"EXT2", "\x83\x01\x01"},
      {"EXT4", "\x84\x01\x01\x01\x01"},
      {"LONG4", std::string("\x8b\1\0\0\0\1", 6)},
      {"SHORT_BINUNICODE", "\x8c\1x"},
      {"BINUNICODE8", absl::StrCat("\x8d", Bytes(uint64_t{1} << 63), "x")},
      {"BINBYTES8", absl::StrCat("\x8e", Bytes(uint64_t{1} << 63), "x")},
      {"EMPTY_SET", "\x8f"},
      {"ADDITEMS", "\x90"},
      {"FROZENSET", "\x91"},
      {"NEWOBJ_EX", "\x92"},
      {"STACK_GLOBAL", "\x93"},
      {"MEMOIZE", "\x94"},
      {"FRAME", absl::StrCat("\x95", Bytes(uint64_t{1} << 63))},
      {"BYTEARRAY8", absl::StrCat("\x96", Bytes(uint64_t{1} << 63), "x")},
      {"NEXT_BUFFER", "\x97"},
      {"READONLY_BUFFER", "\x98"},
      {"zero", std::string(1, '\0')},
      {"none_that_exists", "\xFF"}};
  for (const auto& [name, bytes] : opcodes) {
    // Where it is the opcode itself: INST, LIST, OBJ and DICT have a mark before them.
    cases.Bad(
        "opcode_" + name, WithValue(bytes),
        name == "OBJ"
            ? "names posix.system"
            : absl::StrFormat("opcode 0x%02x is none that a checkpoint needs",
                              static_cast<unsigned char>(bytes[0] == '(' ? bytes[1] : bytes[0])));
  }
}

void AddGlobals(Builder& cases) {
  const std::vector<std::pair<std::string, std::string>> globals = {
      {"os", "system"},
      {"posix", "system"},
      {"nt", "system"},
      {"os", "popen"},
      {"subprocess", "Popen"},
      {"subprocess", "check_output"},
      {"builtins", "exec"},
      {"builtins", "eval"},
      {"builtins", "__import__"},
      {"builtins", "getattr"},
      {"builtins", "open"},
      {"__builtin__", "eval"},
      {"__builtin__", "file"},
      {"importlib", "import_module"},
      {"runpy", "run_path"},
      {"webbrowser", "open"},
      {"pty", "spawn"},
      {"socket", "socket"},
      {"ctypes", "CDLL"},
      {"operator", "attrgetter"},
      {"functools", "partial"},
      {"pickle", "loads"},
      {"torch", "load"},
      {"torch.storage", "_load_from_bytes"},
      {"torch._utils", "_rebuild_tensor"},
      {"torch._utils", "_rebuild_sparse_tensor"},
      {"torch._utils", "_rebuild_meta_tensor_no_storage"},
      {"torch._utils", "_rebuild_tensor_v3"},
      {"torch.jit", "load"},
      {"torch.hub", "load"},
      {"numpy.core.multiarray", "_reconstruct"},
      {"collections", "defaultdict"},
      {"torch", "DoubleStorage"},
      {"torch", "LongStorage"},
      {"torch", "ByteStorage"},
      {"torch", "QInt8Storage"},
      {"torch", "UntypedStorage"},
      {"", ""},
      {"torch._utils ", "_rebuild_tensor_v2"},
      {"torch._utils", "_rebuild_tensor_v2\r"},
      {"TORCH._utils", "_rebuild_tensor_v2"},
      {"torch", "_utils._rebuild_tensor_v2"}};
  int number = 0;
  for (const auto& [module, name] : globals) {
    std::string plain = absl::StrCat(module, "_", name);
    for (char& c : plain) {
      if (!absl::ascii_isalnum(static_cast<unsigned char>(c))) c = '_';
    }
    cases.Bad(absl::StrCat("global_", number++, "_", plain),
              WithValue(Call(Global(module, name), Tuple({Text("touch /tmp/forged")}))),
              absl::StrCat("names ", module, ".", absl::StrReplaceAll(name, {{"\r", "\\x0d"}}),
                           ", which no checkpoint needs"));
  }
  cases.Bad("global_escapes", WithValue(Global("\x1b[2J\x07", "x")), "names \\x1b[2J\\x07.x");
  cases.Bad("global_long", WithValue(Global(std::string(1'000'000, 'm'), "x")),
            std::string(100, 'm') + ".x, which");
  cases.Bad("global_cut",
            WithPickle("\x80\x02"
                       "cposix"),
            "cut short");
  cases.Bad("global_name_cut",
            WithPickle("\x80\x02"
                       "cposix\nsys"),
            "cut short");
}

void AddCalls(Builder& cases) {
  const std::string rebuild = Global("torch._utils", "_rebuild_tensor_v2");
  const std::string hooks = Call(Global("collections", "OrderedDict"), ")");
  const std::string storage = pickle::Storage(Wq());
  const std::string shape = Tuple({Number(4), Number(4)});
  const std::string strides = Tuple({Number(4), Number(1)});
  const auto call = [&](const std::vector<std::string>& arguments) {
    return WithValue(Call(rebuild, Tuple(arguments)));
  };
  cases.Good("rebuild", call({storage, Number(0), shape, strides, "\x89", hooks}));
  cases.Good("rebuild_parameter", WithValue(Call(Global("torch._utils", "_rebuild_parameter"),
                                                 Tuple({pickle::Rebuild(Wq()), "\x88", hooks}))));
  cases.Bad("rebuild_without_hooks", call({storage, Number(0), shape, strides, "\x89"}),
            "_rebuild_tensor_v2 without a storage");
  cases.Bad("rebuild_with_more", call({storage, Number(0), shape, strides, "\x89", hooks, "N"}),
            "_rebuild_tensor_v2 without a storage");
  cases.Bad("rebuild_of_nothing", call({"N", Number(0), shape, strides, "\x89", hooks}),
            "_rebuild_tensor_v2 without a storage");
  cases.Bad("rebuild_of_a_tensor",
            call({pickle::Rebuild(Wq()), Number(0), shape, strides, "\x89", hooks}),
            "_rebuild_tensor_v2 without a storage");
  cases.Bad("offset_negative", call({storage, Number(-1), shape, strides, "\x89", hooks}),
            "an offset of at least 0");
  cases.Bad("offset_a_text", call({storage, Text("0"), shape, strides, "\x89", hooks}),
            "an offset of at least 0");
  cases.Bad("shape_a_number", call({storage, Number(0), Number(4), strides, "\x89", hooks}),
            "shape or strides: expected a tuple");
  cases.Bad("shape_of_texts",
            call({storage, Number(0), Tuple({Text("4"), Text("4")}), strides, "\x89", hooks}),
            "expected numbers of at least 0");
  cases.Bad("shape_of_tuples",
            call({storage, Number(0), Tuple({shape, shape}), strides, "\x89", hooks}),
            "expected numbers of at least 0");
  cases.Bad("strides_none", call({storage, Number(0), shape, "N", "\x89", hooks}),
            "shape or strides: expected a tuple");
  cases.Bad("parameter_of_nothing",
            WithValue(Call(Global("torch._utils", "_rebuild_parameter"), Tuple({"N", "N", "N"}))),
            "_rebuild_parameter without a tensor");
  cases.Bad("parameter_of_two",
            WithValue(Call(Global("torch._utils", "_rebuild_parameter"),
                           Tuple({pickle::Rebuild(Wq()), "\x88"}))),
            "_rebuild_parameter without a tensor");
  cases.Bad("call_of_a_storage_type", WithValue(Call(Global("torch", "FloatStorage"), ")")),
            "calls a type of storage");
  cases.Bad("call_of_a_text", WithValue(Call(Text("os.system"), ")")), "cannot be called");
  cases.Bad("call_of_a_tensor", WithValue(Call(pickle::Rebuild(Wq()), ")")), "cannot be called");
  cases.Bad("call_of_a_call", WithValue(Call(hooks, ")")), "cannot be called");
  cases.Bad("call_without_a_tuple", WithValue(Call(rebuild, "N")), "cannot be called");
  cases.Bad(
      "dict_with_items",
      WithValue(Call(Global("collections", "OrderedDict"), Tuple({Tuple({Text("a"), Text("b")})}))),
      "expected OrderedDict(), found arguments");
  cases.Bad("global_as_value", WithValue(rebuild), "expected a tensor");
  cases.Bad("storage_as_value", WithValue(storage), "expected a tensor");
}

void AddStorages(Builder& cases) {
  const char kExpected[] = "expected a storage of bfloat16, float16 or float32 numbers";
  const std::string bf16 = Global("torch", "BFloat16Storage");
  const auto id = [](const std::vector<std::string>& items) {
    return WithValue(Tuple(items) + "Q");
  };
  const std::string storage = Text("storage");
  const std::string key = Text("3");
  const std::string cpu = Text("cpu");
  cases.Bad("persistent_module", id({Text("module"), bf16, key, cpu, Number(16)}), kExpected);
  cases.Bad("persistent_four", id({storage, bf16, key, cpu}), kExpected);
  cases.Bad("persistent_six", id({storage, bf16, key, cpu, Number(16), "N"}), kExpected);
  cases.Bad("persistent_none", WithValue("NQ"), kExpected);
  cases.Bad("persistent_text", WithValue(storage + "Q"), kExpected);
  cases.Bad("persistent_number", WithValue(Number(5) + "Q"), kExpected);
  cases.Bad("persistent_dict", WithValue("}Q"), kExpected);
  cases.Bad("persistent_of_itself", id({storage, bf16, pickle::Storage(Wq()), cpu, Number(16)}),
            kExpected);
  cases.Bad("persistent_tuple_of_tuples",
            id({Tuple({storage}), Tuple({bf16}), key, cpu, Number(16)}), kExpected);
  cases.Bad("persistent_type_a_text", id({storage, Text("BFloat16Storage"), key, cpu, Number(16)}),
            kExpected);
  cases.Bad("persistent_type_a_function",
            id({storage, Global("torch._utils", "_rebuild_tensor_v2"), key, cpu, Number(16)}),
            kExpected);
  cases.Bad("persistent_type_a_dict",
            id({storage, Global("collections", "OrderedDict"), key, cpu, Number(16)}), kExpected);
  cases.Bad("persistent_key_a_number", id({storage, bf16, Number(3), cpu, Number(16)}), kExpected);
  cases.Bad("persistent_key_long",
            id({storage, bf16, Text(std::string(1'000'000, '3')), cpu, Number(16)}), kExpected);
  cases.Bad("persistent_device_a_number", id({storage, bf16, key, Number(0), Number(16)}),
            kExpected);
  cases.Bad("persistent_elements_negative", id({storage, bf16, key, cpu, Number(-16)}), kExpected);
  cases.Bad("persistent_elements_a_text", id({storage, bf16, key, cpu, Text("16")}), kExpected);
  cases.Bad("persistent_of_nothing", WithPickle("\x80\x02Q."), "takes a value that is not there");
  pickle::Tensor gpu = Wq();
  gpu.device = "cuda:0";
  cases.Good("persistent_device_cuda", WithValue(pickle::Rebuild(gpu)));
}

std::string Repeat(const std::string& text, size_t times) {
  std::string repeated;
  repeated.reserve(text.size() * times);
  for (size_t i = 0; i < times; ++i) repeated += text;
  return repeated;
}

// What is short in the file and large, or deep, when it is read.
void AddBombs(Builder& cases) {
  const std::string start = "\x80\x02";
  const std::string put0("q\0", 2);
  const std::string get0("h\0", 2);
  cases.Large(
      "marks_nested", [=] { return start + std::string(1'000'000, '('); }, "is nested too deeply");
  cases.Large(
      "tuples_nested", [=] { return start + ")" + std::string(1'500'000, '\x85') + "."; },
      "has too many values");
  cases.Large(
      "tuples_nested_in_marks",
      [=] { return start + std::string(999, '(') + ")" + std::string(999, 't') + "."; },
      "expected a dict of tensors");
  cases.Large(
      "memo_doubling",
      [=] { return start + ")" + put0 + Repeat(get0 + get0 + "\x86" + put0, 200'000) + "."; },
      "does not end with one value");
  cases.Large(
      "memo_on_stack", [=] { return start + "N" + put0 + Repeat(get0, 4'000'000) + "."; },
      "has too many values");
  cases.Large(
      "memo_in_tuples",
      [=] { return start + "N" + put0 + Repeat("(" + Repeat(get0, 1000) + "t", 4'000) + "."; },
      "does not end with one value");
  cases.Large(
      "memo_slots",
      [=] {
        std::string puts;
        for (uint32_t i = 0; i < 2'000'000; ++i) puts += "r" + Bytes(i * 2147);
        return start + "N" + puts + ".";
      },
      "expected a dict of tensors");
  const std::string rebuild = Global("torch._utils", "_rebuild_tensor_v2");
  const std::string arguments =
      Tuple({pickle::Storage(Wq()), Number(0), Tuple(std::vector<std::string>(8, Number(1))),
             Tuple(std::vector<std::string>(8, Number(1))), "\x89", "N"});
  cases.Large(
      "many_tensors",
      [=] {
        return start + rebuild + put0 + arguments + "q\1" + Repeat(get0 + "h\1R", 500'000) + ".";
      },
      "expected at most 20000 tensors");
  cases.Large(
      "one_tensor_under_many_names",
      [=] {
        std::string pickle = start + "}(" + Text("x") + rebuild + arguments + "Rq\2";
        for (int i = 0; i < 300'000; ++i) {
          absl::StrAppend(&pickle, Text(absl::StrCat(i)), "h\2");
        }
        return pickle + "u.";
      },
      "expected at most 20000 tensors");
  cases.Large(
      "large", [=] { return start + Repeat("N", 17'000'000); }, "expected at most 16777216 bytes");
  cases.Large(
      "dicts", [=] { return start + Repeat("}", 2'000'000) + "."; }, "has too many values");
  cases.Bad("calls_nested",
            WithValue(Repeat(Global("collections", "OrderedDict"), 2000) + ")" + Repeat("R", 2000)),
            "cannot be called");
}

void AddNumbers(Builder& cases) {
  cases.Bad("text_of_4_gb", WithPickle(absl::StrCat("\x80\x02X", Bytes(uint32_t{0xFFFFFFFF}), "x")),
            "a text is longer than the file");
  cases.Bad("text_one_too_long", WithPickle(absl::StrCat("\x80\x02X", Bytes(uint32_t{2}), "x")),
            "a text is longer than the file");
  cases.Bad("long_of_9_bytes", WithValue("\x8a\x09" + std::string(9, '\xFF')),
            "a number has more than 64 bits");
  cases.Bad("long_of_255_bytes", WithValue("\x8a\xFF" + std::string(255, '\x7F')),
            "a number has more than 64 bits");
  cases.Bad("long_cut", WithPickle("\x80\x02\x8a\x08\x01"), "a text is longer than the file");
  cases.Bad("int_cut", WithPickle(std::string("\x80\x02J\1\0\0", 6)), "cut short");
}

void AddStructure(Builder& cases) {
  const std::string start = "\x80\x02";
  const std::string good = pickle::StateDict(SmallParts().items);
  cases.Good("as_it_is", WithPickle(good));
  cases.Bad("empty", WithPickle(""), "cut short");
  cases.Bad("without_protocol", WithPickle(good.substr(2)), "does not start with a protocol");
  for (const char version : {'\0', '\1', '\3', '\4', '\5', '\xFF'}) {
    cases.Bad(absl::StrCat("protocol_", static_cast<unsigned char>(version)),
              WithPickle(std::string("\x80") + version + good.substr(2)),
              "expected protocol 2 at the start");
  }
  cases.Bad("two_protocols", WithPickle(start + good), "expected protocol 2 at the start");
  cases.Bad("without_stop", WithPickle(good.substr(0, good.size() - 1)), "cut short");
  cases.Bad("goes_on", WithPickle(good + "N"), "goes on after its end");
  cases.Bad("second_pickle", WithPickle(good + good), "goes on after its end");
  cases.Bad("nothing", WithPickle(start + "."), "does not end with one value");
  cases.Bad("two_values", WithPickle(start + "NN."), "does not end with one value");
  cases.Bad("open_mark", WithPickle(start + "}(."), "does not end with one value");
  cases.Bad("none", WithPickle(start + "N."), "expected a dict of tensors");
  cases.Bad("a_tuple", WithPickle(start + ")."), "expected a dict of tensors");
  cases.Bad("a_tensor", WithPickle(start + pickle::Rebuild(Wq()) + "."),
            "expected a dict of tensors");
  cases.Bad("a_dict_without_tensors", WithPickle(start + "}."), "\": missing");
  cases.Bad("key_a_number", WithPickle(start + "}" + Number(1) + pickle::Rebuild(Wq()) + "s."),
            "expected a dict with names as keys");
  cases.Bad("key_none", WithPickle(start + "}N" + pickle::Rebuild(Wq()) + "s."),
            "expected a dict with names as keys");
  cases.Bad("value_none", WithValue("N"), "wq.weight\": expected a tensor");
  cases.Bad("value_true", WithValue("\x88"), "wq.weight\": expected a tensor");
  cases.Bad("value_a_dict", WithValue("}"), "wq.weight\": expected a tensor");
  cases.Bad("value_a_text", WithValue(Text("x")), "wq.weight\": expected a tensor");
  cases.Bad("items_odd", WithPickle(start + "}(NNNu."), "sets items of something that is no dict");
  cases.Bad("items_of_nothing", WithPickle(start + "(NNu."), "sets items of something");
  cases.Bad("items_of_a_tuple", WithPickle(start + ")(NNu."), "sets items of something");
  cases.Bad("item_of_nothing", WithPickle(start + "s."), "sets items of something");
  cases.Bad("item_across_a_mark", WithPickle(start + "}(NNs."), "sets items of something");
  cases.Bad("tuple_without_mark", WithPickle(start + "Nt."), "takes a mark that is not there");
  cases.Bad("items_without_mark", WithPickle(start + "}u."), "takes a mark that is not there");
  cases.Bad("tuple_of_too_few", WithPickle(start + "N\x86."), "takes a value that is not there");
  cases.Bad("tuple_across_a_mark", WithPickle(start + "N(\x85."),
            "takes a value that is not there");
  cases.Bad("call_of_nothing", WithPickle(start + "R."), "takes a value that is not there");
  cases.Bad("call_across_a_mark", WithPickle(start + "N()R."), "takes a value that is not there");
  cases.Bad("recalls_nothing", WithPickle(start + "h\5."),
            "recalls a value that was not remembered");
  cases.Bad("recalls_far", WithPickle(start + "j\xFF\xFF\xFF\xFF."),
            "recalls a value that was not");
  cases.Bad("remembers_nothing", WithPickle(start + "q\5."), "remembers a value that is not there");
  cases.Bad("remembers_across_a_mark", WithPickle(start + "N(q\5."),
            "remembers a value that is not");
  // Dicts that hold themselves: nothing follows them.
  cases.Bad("dict_in_itself",
            WithPickle(start + "}q" + std::string(1, '\0') + Text("x") + std::string("h\0s.", 4)),
            "\"x\": expected a tensor");
}

}  // namespace

std::vector<Case> PickleCases() {
  Builder cases;
  AddStructure(cases);
  AddOpcodes(cases);
  AddGlobals(cases);
  AddCalls(cases);
  AddStorages(cases);
  AddNumbers(cases);
  AddBombs(cases);
  return cases.Take();
}

}  // namespace llama::forged
