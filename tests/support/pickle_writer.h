#ifndef LLAMA_TESTS_SUPPORT_PICKLE_WRITER_H_
#define LLAMA_TESTS_SUPPORT_PICKLE_WRITER_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "services/model/tensor/tensor.h"

// Pieces of pickles (protocol 2), each the opcodes that leave one value on the stack.
namespace llama::pickle {

std::string Text(const std::string& text);
std::string Number(int64_t number);
std::string Tuple(const std::vector<std::string>& items);
std::string Global(const std::string& module, const std::string& name);
// Calls what `callee` leaves with what `arguments`, a tuple, leaves.
std::string Call(const std::string& callee, const std::string& arguments);

struct Tensor {
  DataType type = DataType::kBf16;
  std::string key = "0";
  int64_t elements = 0;  // Of the storage.
  int64_t offset = 0;
  std::vector<int64_t> shape = {};
  std::vector<int64_t> strides = {};
  std::string device = "cpu";
};
std::string Storage(const Tensor& tensor);
std::string Rebuild(const Tensor& tensor);

// A whole pickle: a dict from names to values.
std::string StateDict(const std::vector<std::pair<std::string, std::string>>& items);

}  // namespace llama::pickle

#endif  // LLAMA_TESTS_SUPPORT_PICKLE_WRITER_H_
