#include <cmath>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tests/forged/cases.h"
#include "tests/support/vocabulary_writer.h"

namespace llama::forged {
namespace {

using Piece = files::SentencePieceModel::Piece;

class Builder {
 public:
  void Good(const std::string& name, std::function<void(files::SentencePieceModel&)> change) {
    Add("good_" + name, std::move(change), {});
  }
  void Bad(const std::string& name, std::function<void(files::SentencePieceModel&)> change,
           const std::string& expected) {
    Add(name, std::move(change), {kTokenizer, expected});
  }
  void BadFile(const std::string& name, std::string content, const std::string& expected) {
    LargeFile(
        name, [content = std::move(content)] { return content; }, expected);
  }
  // What is large is made when it is written.
  void LargeFile(const std::string& name, std::function<std::string()> make,
                 const std::string& expected) {
    cases_.push_back({"tokenizer_" + name,
                      Reader::kTokenizer,
                      {kTokenizer, expected},
                      [make = std::move(make)](const std::string& folder) {
                        WriteFile(folder, kTokenizer, make());
                      }});
  }
  std::vector<Case> Take() { return std::move(cases_); }

 private:
  void Add(const std::string& name, std::function<void(files::SentencePieceModel&)> change,
           std::vector<std::string> expected) {
    cases_.push_back({"tokenizer_" + name, Reader::kTokenizer, std::move(expected),
                      [change = std::move(change)](const std::string& folder) {
                        files::SentencePieceModel model = MinimalVocabulary();
                        change(model);
                        WriteFile(folder, kTokenizer, model.SerializeAsString());
                      }});
  }
  std::vector<Case> cases_;
};

using Model = files::SentencePieceModel;

void AddPieces(Builder& cases) {
  const auto piece = [](const std::string& spelling, float score = 0, int type = Piece::NORMAL) {
    return [=](Model& model) { AddPiece(model, spelling, score, type); };
  };
  cases.Good("minimal", [](Model&) {});
  cases.Good("piece", piece("▁Hello"));
  cases.Good("piece_of_4096_bytes", piece(std::string(4096, 'x')));
  cases.Bad("piece_of_4097_bytes", piece(std::string(4097, 'x')),
            "has 4097 bytes, expected at most");
  cases.Bad("piece_of_1_mb", piece(std::string(1 << 20, 'x')),
            "has 1048576 bytes, expected at most");
  cases.Bad("piece_empty", piece(""), "piece 259 \"\" is empty");
  cases.Bad(
      "piece_without_fields", [](Model& model) { model.add_pieces(); }, "piece 259 \"\" is empty");
  const std::vector<std::pair<std::string, std::string>> not_utf8 = {{"trail", "\x80"},
                                                                     {"cut", "a\xE2\x96"},
                                                                     {"overlong", "\xC0\xAF"},
                                                                     {"overlong_3", "\xE0\x80\xAF"},
                                                                     {"surrogate", "\xED\xA0\x80"},
                                                                     {"beyond", "\xF4\x90\x80\x80"},
                                                                     {"latin", "caf\xE9"},
                                                                     {"ff", "\xFF"}};
  for (const auto& [name, text] : not_utf8) {
    cases.Bad("utf8_" + name, piece(text), "is not valid UTF-8");
  }
  cases.Bad(
      "doubled",
      [](Model& model) {
        AddPiece(model, "a");
        AddPiece(model, "a", 1);
      },
      "piece 260 \"a\" stands there twice");
  cases.Bad("doubled_control", piece("<s>", 0, Piece::CONTROL), "\"<s>\" stands there twice");
  cases.Bad("doubled_as_text", piece("<s>"), "\"<s>\" stands there twice");
  cases.Bad("doubled_byte", piece("<0x0A>", 0, Piece::BYTE), "\"<0x0A>\" stands there twice");
  cases.Bad("byte_as_text", piece("<0x0A>"), "\"<0x0A>\" stands there twice");
  cases.Bad("byte_as_user_defined", piece("<0xFF>", 0, Piece::USER_DEFINED), "stands there twice");
  for (const auto& [name, text] :
       std::vector<std::pair<std::string, std::string>>{{"lower_case", "<0x0a>"},
                                                        {"short", "<0xA>"},
                                                        {"long", "<0x00A>"},
                                                        {"decimal", "<010>"},
                                                        {"beyond", "<0x100>"},
                                                        {"text", "x"},
                                                        {"blanks", "<0x 0>"},
                                                        {"sign", "<0x-1>"}}) {
    cases.Bad("byte_" + name, piece(text, 0, Piece::BYTE),
              "is a byte, expected a spelling like <0x0A>");
  }
  for (const auto& [name, score] :
       std::vector<std::pair<std::string, float>>{{"nan", NAN},
                                                  {"minus_nan", -NAN},
                                                  {"infinity", INFINITY},
                                                  {"minus_infinity", -INFINITY}}) {
    cases.Bad("score_" + name, piece("a", score), "expected a finite score");
    cases.Bad("score_of_control_" + name, piece("<x>", score, Piece::CONTROL),
              "expected a finite score");
  }
  cases.Good("score_largest", piece("a", std::numeric_limits<float>::max()));
  for (const int type : {0, 7, 8, 100, -1, std::numeric_limits<int>::max()}) {
    cases.Bad(absl::StrCat("type_", type), piece("a", 0, type), "has a type that is not known");
  }
  cases.Bad("escapes", piece("\x1b[2J\n", NAN), "\\x1b[2J\\n\" expected a finite score");
}

void AddTables(Builder& cases) {
  for (const int byte : {0x00, 0x41, 0x80, 0xFF}) {
    cases.Bad(
        absl::StrFormat("without_byte_%02x", byte),
        [byte](Model& model) {
          model.mutable_pieces(3 + byte)->set_piece("other");
          model.mutable_pieces(3 + byte)->set_type(Piece::NORMAL);
        },
        "expected a piece for each of 256 bytes, found 255");
  }
  cases.Bad(
      "without_bytes", [](Model& model) { model.mutable_pieces()->DeleteSubrange(3, 256); },
      "expected a piece for each of 256 bytes, found 0");
  cases.Bad(
      "without_unknown", [](Model& model) { model.mutable_pieces(0)->set_type(Piece::CONTROL); },
      "expected one unknown piece, found 0");
  cases.Bad(
      "two_unknown", [](Model& model) { AddPiece(model, "<unk2>", 0, Piece::UNKNOWN); },
      "expected one unknown piece, found 2");
  cases.Bad(
      "without_pieces", [](Model& model) { model.clear_pieces(); }, "pieces, found 0");
  for (const int id : {-1, 0, 3, 259, 1 << 30, std::numeric_limits<int>::min()}) {
    cases.Bad(
        absl::StrCat("bos_", id),
        [id](Model& model) { model.mutable_trainer_spec()->set_bos_id(id); },
        "trainer_spec.bos_id: expected a control piece, found id");
    cases.Bad(
        absl::StrCat("eos_", id),
        [id](Model& model) { model.mutable_trainer_spec()->set_eos_id(id); },
        "trainer_spec.eos_id: expected a control piece, found id");
  }
}

void AddSettings(Builder& cases) {
  cases.Good("without_dummy_prefix",
             [](Model& model) { model.mutable_normalizer_spec()->set_add_dummy_prefix(false); });
  for (const auto& [name, type] :
       std::vector<std::pair<std::string, files::TrainerSpec::ModelType>>{
           {"unigram", files::TrainerSpec::UNIGRAM},
           {"word", files::TrainerSpec::WORD},
           {"char", files::TrainerSpec::CHAR}}) {
    cases.Bad(
        "type_" + name,
        [type = type](Model& model) { model.mutable_trainer_spec()->set_model_type(type); },
        "trainer_spec.model_type: expected BPE");
  }
  cases.Bad(
      "without_trainer_spec", [](Model& model) { model.clear_trainer_spec(); },
      "trainer_spec.model_type: expected BPE");
  cases.Bad(
      "without_normalizer_spec", [](Model& model) { model.clear_normalizer_spec(); },
      "normalizer_spec.remove_extra_whitespaces: expected false");
  cases.Bad(
      "without_byte_fallback",
      [](Model& model) { model.mutable_trainer_spec()->set_byte_fallback(false); },
      "trainer_spec.byte_fallback: expected true");
  cases.Bad(
      "blanks_as_suffix",
      [](Model& model) { model.mutable_trainer_spec()->set_treat_whitespace_as_suffix(true); },
      "trainer_spec.treat_whitespace_as_suffix: expected false");
  cases.Bad(
      "charsmap",
      [](Model& model) { model.mutable_normalizer_spec()->set_precompiled_charsmap("x"); },
      "normalizer_spec.precompiled_charsmap: expected none");
  cases.Bad(
      "denormalizer_charsmap",
      [](Model& model) { model.mutable_denormalizer_spec()->set_precompiled_charsmap("x"); },
      "denormalizer_spec.precompiled_charsmap: expected none");
  cases.Bad(
      "removes_blanks",
      [](Model& model) { model.mutable_normalizer_spec()->set_remove_extra_whitespaces(true); },
      "normalizer_spec.remove_extra_whitespaces: expected false");
  cases.Bad(
      "blanks_not_escaped",
      [](Model& model) { model.mutable_normalizer_spec()->set_escape_whitespaces(false); },
      "normalizer_spec.escape_whitespaces: expected true");
  cases.Good("unknown_surface",
             [](Model& model) { model.mutable_trainer_spec()->set_unk_surface("?"); });
  cases.Bad(
      "unknown_surface_not_utf8",
      [](Model& model) { model.mutable_trainer_spec()->set_unk_surface("\xFF"); },
      "trainer_spec.unk_surface: expected at most");
  cases.Bad(
      "unknown_surface_of_1_mb",
      [](Model& model) {
        model.mutable_trainer_spec()->set_unk_surface(std::string(1 << 20, 'x'));
      },
      "trainer_spec.unk_surface: expected at most");
}

void AddFiles(Builder& cases) {
  const char kDamaged[] = "expected a SentencePiece model, found something else or a damaged one";
  const std::string whole = MinimalVocabulary().SerializeAsString();
  for (size_t size = whole.size(); size-- > whole.size() - 20;) {
    cases.BadFile(absl::StrCat("cut_", size), whole.substr(0, size), ": ");
  }
  cases.BadFile("cut_in_the_middle", whole.substr(0, whole.size() / 2), ": ");
  cases.BadFile("text", "{\"model\": {\"vocab\": {}}}\n", kDamaged);
  cases.BadFile("group", "\x0B\x0C" + whole, kDamaged);
  cases.BadFile("end_of_group", "\x0C" + whole, kDamaged);
  cases.BadFile("tag_0", std::string("\0\0", 2) + whole, kDamaged);
  cases.BadFile("tag_long", std::string(11, '\xFF') + whole, kDamaged);
  cases.BadFile("length_of_4_gb", "\x0A\xFF\xFF\xFF\xFF\x0F" + whole, kDamaged);
  cases.BadFile("length_2_to_63", "\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F" + whole, kDamaged);
  cases.BadFile("deep_groups", std::string(100'000, '\x0B'), kDamaged);
  cases.LargeFile(
      "pieces_8_million_empty",
      [] {
        std::string pieces;
        for (int i = 0; i < 8'000'000; ++i) pieces += std::string("\x0A\0", 2);
        return pieces;
      },
      "expected 1 to 524288 pieces, found 8000000");
  cases.LargeFile(
      "pieces_10_million",
      [] {
        std::string pieces;
        pieces.resize(20'000'000, '\x0A');
        return pieces;
      },
      "expected at most 16777216 bytes");
  cases.LargeFile(
      "large", [whole] { return whole + std::string(16 << 20, '\0'); },
      "expected at most 16777216 bytes");
  cases.BadFile("tiktoken", "IQ== 0\nIg== 1\nIw== 2\n", kDamaged);
  // Unknown fields: much memory, if each were kept as an object.
  cases.LargeFile(
      "fields_8_million_unknown",
      [] {
        std::string fields;
        for (int i = 0; i < 8'000'000; ++i) fields += "\x78\x01";
        return fields;
      },
      "pieces, found 0");
  cases.Bad(
      "many_user_defined_ever_longer",
      [](Model& model) {
        for (int length = 3; length <= 8; ++length) {
          for (int i = 0; i < 80'000; ++i) {
            AddPiece(model, absl::StrFormat("%0*d", length + 3, i), 0, Piece::USER_DEFINED);
          }
        }
        model.mutable_trainer_spec()->set_bos_id(0);
      },
      "trainer_spec.bos_id: expected a control piece");
  cases.Bad(
      "many_unused_at_last_doubled",
      [](Model& model) {
        for (int i = 0; i < 520'000; ++i) AddPiece(model, absl::StrCat(i), 0, Piece::UNUSED);
        AddPiece(model, "0");
      },
      "\"0\" stands there twice");
}

}  // namespace

std::vector<Case> TokenizerCases() {
  Builder cases;
  AddPieces(cases);
  AddTables(cases);
  AddSettings(cases);
  AddFiles(cases);
  return cases.Take();
}

}  // namespace llama::forged
