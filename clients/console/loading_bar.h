#ifndef LLAMA_CLIENTS_CONSOLE_LOADING_BAR_H_
#define LLAMA_CLIENTS_CONSOLE_LOADING_BAR_H_

#include <cstdint>
#include <string>

namespace llama {

// "Loading the model [########------------]  40 %". A percentage out of range counts as its end.
std::string RenderLoadingBar(int64_t percent);

}  // namespace llama

#endif  // LLAMA_CLIENTS_CONSOLE_LOADING_BAR_H_
