#include "services/gateway/prefix_key.h"

#include <algorithm>

#include "absl/strings/string_view.h"
#include "services/gateway/replica_choice.h"

namespace llama {
namespace {

constexpr size_t kTextBytes = 256;
constexpr int kTokenIds = 64;
constexpr size_t kMessageBytes = 4096;

uint64_t HashChat(const v1::Chat& chat, uint64_t hash) {
  for (const v1::ChatMessage& message : chat.messages()) {
    const absl::string_view content = message.content();
    hash =
        StableHash(content.substr(0, kMessageBytes), hash + static_cast<uint64_t>(message.role()));
    if (message.role() == v1::ROLE_USER) break;
  }
  return hash;
}

}  // namespace

uint64_t PrefixKey(const v1::GenerateRequest& request) {
  const v1::Prompt& prompt = request.prompt();
  uint64_t hash = StableHash(request.cache_salt(), static_cast<uint64_t>(prompt.input_case()));
  switch (prompt.input_case()) {
    case v1::Prompt::kText:
      return StableHash(absl::string_view(prompt.text()).substr(0, kTextBytes), hash);
    case v1::Prompt::kChat:
      return HashChat(prompt.chat(), hash);
    case v1::Prompt::kTokenIds:
      for (int i = 0; i < std::min(prompt.token_ids().ids_size(), kTokenIds); ++i) {
        hash = StableHash("", hash ^ prompt.token_ids().ids(i));
      }
      return hash;
    case v1::Prompt::INPUT_NOT_SET:
      return hash;
  }
  return hash;  // Of a newer version of the interface.
}

}  // namespace llama
