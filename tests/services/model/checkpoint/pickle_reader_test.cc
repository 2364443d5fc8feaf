#include "services/model/checkpoint/pickle_reader.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

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

}  // namespace
}  // namespace llama
