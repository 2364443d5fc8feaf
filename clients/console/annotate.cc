#include "clients/console/annotate.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "clients/console/emoji_names.h"
#include "clients/console/sanitize.h"
#include "clients/console/utf8.h"

namespace llama {
namespace {

// ASCII and what is shown escaped anyway need no name: newlines come as byte tokens, too.
bool IsNamed(const MarkedText& text, size_t begin, size_t end) {
  bool named = false;
  for (size_t i = begin; i < end;) {
    const CodePoint c = DecodeCodePoint(text.text, i);
    if (IsShownEscaped(c.value)) return false;
    named = named || (c.value >= 0x80 && text.from_byte_tokens[i]);
    i += c.length;
  }
  return named;
}

}  // namespace

std::string AnnotatedText::Advance(const MarkedText& text, bool complete) {
  const absl::string_view all = text.text;
  std::string out;
  const size_t start = cluster_;
  for (const size_t length : ClusterEnds(all.substr(start))) {
    const size_t end = start + length;
    const bool settled = complete || end < all.size();
    const bool named = names_ && IsNamed(text, cluster_, end);
    if (settled || !named) {
      const size_t from = std::max(cluster_, printed_);
      absl::StrAppend(&out, SanitizeForTerminal(all.substr(from, end - from)));
      printed_ = end;
    }
    if (!settled) break;
    if (named) absl::StrAppend(&out, " ", DescribeCharacter(all.substr(cluster_, end - cluster_)));
    cluster_ = end;
  }
  return out;
}

std::string Annotate(const MarkedText& text, bool names) {
  return AnnotatedText(names).Advance(text, true);
}

}  // namespace llama
