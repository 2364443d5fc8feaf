#include "services/model/checkpoint/pickle_reader.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/pickle_writer.h"

namespace llama {
namespace {

using testing::HasSubstr;
using namespace std::string_literals;

absl::StatusOr<std::vector<PickledTensor>> Read(const std::string& pickle) {
  return ReadStateDict(std::as_bytes(std::span(pickle)));
}

std::string Message(const std::string& pickle) {
  const auto tensors = Read(pickle);
  EXPECT_FALSE(tensors.ok());
  return std::string(tensors.status().message());
}

std::string Text(const std::string& text) {
  return "X"s + static_cast<char>(text.size()) + "\0\0\0"s + text;
}

// What torch.save writes for one tensor of 2 by 3 bfloat16 numbers.
std::string Tensor(const std::string& offset = "K\0"s, const std::string& shape = "K\2K\3\x86"s) {
  return "ctorch._utils\n_rebuild_tensor_v2\n(("s + Text("storage") + "ctorch\nBFloat16Storage\n"s +
         Text("0") + Text("cpu") + "K\6tQ"s + offset + shape + "K\3K\1\x86\x89"s +
         "ccollections\nOrderedDict\n)RtR"s;
}

TEST(PickleReaderTest, ADictOfTensors) {
  const auto tensors = Read("\x80\2}("s + Text("a") + Tensor() + "u."s);
  ASSERT_TRUE(tensors.ok()) << tensors.status();
  ASSERT_EQ(tensors->size(), 1u);
  EXPECT_EQ((*tensors)[0].name, "a");
  EXPECT_EQ((*tensors)[0].type, DataType::kBf16);
  EXPECT_EQ((*tensors)[0].storage_key, "0");
  EXPECT_EQ((*tensors)[0].storage_elements, 6);
  EXPECT_EQ((*tensors)[0].shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ((*tensors)[0].strides, (std::vector<int64_t>{3, 1}));
}

TEST(PickleReaderTest, EveryCutIsRefused) {
  const std::string whole = "\x80\2}("s + Text("a") + Tensor() + "u."s;
  for (size_t size = 0; size < whole.size(); ++size) Message(whole.substr(0, size));
}

TEST(PickleReaderTest, CallsAreRefusedByName) {
  EXPECT_THAT(Message("\x80\2cos\nsystem\n("s + Text("id") + "tR."s), HasSubstr("os.system"));
  EXPECT_THAT(Message("\x80\2c__builtin__\nexec\n("s + Text("1") + "tR."s), HasSubstr("exec"));
  EXPECT_THAT(Message("\x80\2(ios\nsystem\n."s), HasSubstr("opcode 0x69"));
  EXPECT_THAT(Message("\x80\2}}b."s), HasSubstr("opcode 0x62"));
  EXPECT_THAT(Message("\x80\2}("s + Text("a") + Tensor() + "u.x"s), HasSubstr("after its end"));
  EXPECT_THAT(Message("\x80\4}."s), HasSubstr("protocol"));
}

TEST(PickleReaderTest, NonsenseIsRefused) {
  Message("\x80\2."s);
  Message("\x80\2K\1."s);
  Message("\x80\2h\7."s);
  Message("\x80\2}u."s);
  Message("\x80\2t."s);
  Message("\x80\2R."s);
  Message("\x80\2Q."s);
  Message("\x80\2X\xff\xff\xff\x7f."s);
  Message("\x80\2" + std::string(2'000'000, '('));
  Message("\x80\2" + std::string(2'000'000, 'N'));
  Message("\x80\2}("s + Text("a") + Tensor() + Text("a") + Tensor() + "u."s);
  Message("\x80\2}("s + Text("a") + Tensor("J\xff\xff\xff\xff"s) + "u."s);
  Message("\x80\2}("s + Text("a") + Tensor("K\0"s, "J\xff\xff\xff\xffK\3\x86"s) + "u."s);
}

pickle::Tensor TwoByThree() {
  return {.key = "0", .elements = 6, .shape = {2, 3}, .strides = {3, 1}};
}

TEST(PickleReaderTest, ParametersOrderedDictsAndDevicesOfTorchAreRead) {
  pickle::Tensor tensor = TwoByThree();
  tensor.device = "cuda:0";
  const std::string parameter = pickle::Call(
      pickle::Global("torch._utils", "_rebuild_parameter"),
      pickle::Tuple({pickle::Rebuild(tensor), "\x88",
                     pickle::Call(pickle::Global("collections", "OrderedDict"), ")")}));
  const auto tensors = Read(
      "\x80\2"s + pickle::Call(pickle::Global("collections", "OrderedDict"), ")") + "(" +
      pickle::Text("a") + parameter + "u" + pickle::Text("b") + pickle::Rebuild(tensor) + "s.");
  ASSERT_TRUE(tensors.ok()) << tensors.status();
  ASSERT_EQ(tensors->size(), 2u);
  EXPECT_EQ((*tensors)[0].name, "a");
  EXPECT_EQ((*tensors)[0].shape, (std::vector<int64_t>{2, 3}));
}

TEST(PickleReaderTest, NumbersOfEveryWidthAreRead) {
  for (const int64_t number :
       {int64_t{0}, int64_t{255}, int64_t{256}, int64_t{65535}, int64_t{65536}, int64_t{0x7FFFFFFF},
        int64_t{1} << 31, int64_t{1} << 40, INT64_MAX}) {
    pickle::Tensor tensor = TwoByThree();
    tensor.elements = number;
    const auto tensors = Read(pickle::StateDict({{"a", pickle::Rebuild(tensor)}}));
    ASSERT_TRUE(tensors.ok()) << tensors.status();
    EXPECT_EQ((*tensors)[0].storage_elements, number);
  }
}

TEST(PickleReaderTest, NegativeNumbersAreRefused) {
  for (const int64_t number : {int64_t{-1}, int64_t{-256}, INT64_MIN}) {
    pickle::Tensor tensor = TwoByThree();
    tensor.elements = number;
    Message(pickle::StateDict({{"a", pickle::Rebuild(tensor)}}));
    tensor = TwoByThree();
    tensor.offset = number;
    Message(pickle::StateDict({{"a", pickle::Rebuild(tensor)}}));
    tensor = TwoByThree();
    tensor.shape[1] = number;
    Message(pickle::StateDict({{"a", pickle::Rebuild(tensor)}}));
    tensor = TwoByThree();
    tensor.strides[0] = number;
    Message(pickle::StateDict({{"a", pickle::Rebuild(tensor)}}));
  }
}

// One text of megabytes, kept once for each of many tensors, would be terabytes.
TEST(PickleReaderTest, ALongStorageKeyIsRefused) {
  pickle::Tensor tensor = TwoByThree();
  tensor.key = std::string(4 << 20, 'k');
  EXPECT_THAT(Message(pickle::StateDict({{"a", pickle::Rebuild(tensor)}})),
              HasSubstr("persistent id"));
}

TEST(PickleReaderTest, RecallsThatUnfoldWithoutEndMeetALimit) {
  // A tuple that holds the one before it a hundred times, and so on: 100^n items if unfolded.
  std::string bomb = "\x80\2)q\1"s;
  for (int i = 0; i < 20'000; ++i) {
    bomb += "(";
    for (int k = 0; k < 100; ++k) bomb += "h\1";
    bomb += "tq\1";
  }
  Message(bomb + ".");
  std::string recalls = "\x80\2Nq\1"s;
  for (int i = 0; i < 4'000'000; ++i) recalls += "h\1";
  EXPECT_THAT(Message(recalls + "."), HasSubstr("too many values"));
  Message(std::string(kMaxPickleBytes + 1, 'N'));
}

TEST(PickleReaderTest, OpcodesThatRunOrBuildThingsAreRefused) {
  // INST, OBJ, NEWOBJ, NEWOBJ_EX, BUILD, EXT1, REDUCE of a text, STACK_GLOBAL, FRAME, BYTEARRAY8.
  for (const std::string& code :
       {"(ios\nsystem\n"s, "(cos\nsystem\no"s, ")\x81"s, ")}\x92"s, "}}b"s, "\x82\1"s,
        pickle::Text("os.system") + ")R", pickle::Text("os") + pickle::Text("system") + "\x93",
        "\x95\1\0\0\0\0\0\0\0"s, "\x96\xff\xff\xff\xff\xff\xff\xff\xff"s}) {
    Message("\x80\2"s + code + ".");
  }
  // Known callables, but with other arguments than torch gives them.
  for (const std::string& arguments : {")"s, "(NNNt"s, "(K\1K\2K\3K\4K\5K\6t"s}) {
    for (const char* name : {"_rebuild_tensor_v2", "_rebuild_parameter"}) {
      Message("\x80\2"s + pickle::Call(pickle::Global("torch._utils", name), arguments) + ".");
    }
    Message("\x80\2"s + pickle::Call(pickle::Global("torch", "HalfStorage"), arguments) + ".");
  }
}

TEST(PickleReaderTest, AnyByteChangedIsReadOrRefused) {
  const std::string whole = pickle::StateDict(
      {{"a", pickle::Rebuild(TwoByThree())}, {"b", pickle::Rebuild(TwoByThree())}});
  for (size_t at = 0; at < whole.size(); ++at) {
    for (int value = 0; value < 256; ++value) {
      std::string changed = whole;
      changed[at] = static_cast<char>(value);
      const auto tensors = Read(changed);
      if (!tensors.ok()) continue;
      for (const PickledTensor& tensor : *tensors) {
        ASSERT_EQ(tensor.shape.size(), tensor.strides.size());
        ASSERT_GE(tensor.offset, 0);
      }
    }
  }
}

}  // namespace
}  // namespace llama
