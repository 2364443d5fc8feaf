// Rendering a dialogue: the contents stand where they are said to, tokens of the scaffold and of
// the messages alternate over all ids, and no content becomes a control token. Messages are parted
// by a zero byte; their first byte is the role.
#include "absl/strings/match.h"
#include "tests/fuzz/fuzzing.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace llama;
  fuzzing::Input input(data, size);
  const uint8_t choice = input.Byte();
  const Tokenizer& tokenizer = fuzzing::GetTokenizer(choice & 1);
  std::vector<ChatMessage> messages;
  while (!input.empty()) {
    const absl::string_view text = input.TakeUntil(absl::string_view("\0", 1));
    if (text.empty()) continue;
    messages.push_back({static_cast<Role>(text[0] & 3), std::string(text.substr(1))});
  }
  EncodeOptions options = {.offsets = true};
  if ((choice & 2) != 0) options.control_text = ControlText::kReject;
  const auto encoding = tokenizer.EncodeChat(messages, options);
  const auto chat = RenderChat(messages);
  if (!encoding.ok()) return 0;
  FUZZ_CHECK(chat.ok() && chat->contents.size() == messages.size());
  std::string rendered;
  int64_t answered = 0;
  for (const RenderedTurn& turn : chat->turns) {
    rendered += turn.text;
    answered += turn.answered ? 1 : 0;
  }
  FUZZ_CHECK(rendered == encoding->rendered);
  for (size_t i = 0; i < messages.size(); ++i) {
    const Range& range = chat->contents[i];
    FUZZ_CHECK(range.begin <= range.end && range.end <= static_cast<int64_t>(rendered.size()));
    FUZZ_CHECK(absl::StrContains(
        messages[i].content,
        absl::string_view(rendered).substr(static_cast<size_t>(range.begin),
                                           static_cast<size_t>(range.end - range.begin))));
  }
  int64_t controls = 0;
  for (const TokenId id : encoding->ids) {
    controls += tokenizer.vocabulary().piece(id).type == PieceType::kControl ? 1 : 0;
  }
  FUZZ_CHECK(controls == static_cast<int64_t>(chat->turns.size()) + answered);
  int64_t next = 0;
  size_t spans = 0;
  for (const RoleSpan& span : encoding->role_spans) {
    FUZZ_CHECK(span.ids.begin == next && span.ids.end >= next);
    next = span.ids.end;
    spans += span.role != Role::kUnspecified ? 1 : 0;
  }
  FUZZ_CHECK(next == static_cast<int64_t>(encoding->ids.size()) && spans == messages.size());
  if (options.control_text == ControlText::kReject) {
    for (const ChatMessage& message : messages) FUZZ_CHECK(!FindTag(message.content).has_value());
  }
  return 0;
}
