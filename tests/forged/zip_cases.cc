#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/forged/cases.h"

namespace llama::forged {
namespace {

// An entry of the small model's file: wq's storage.
const char kName[] = "archive/data/3";

class Builder {
 public:
  void Good(const std::string& name, std::string weights) {
    cases_.push_back({absl::StrCat("zip_good_", name), Reader::kModel, {}, WithWeights(weights)});
  }
  void Bad(const std::string& name, std::string weights, const std::string& expected) {
    cases_.push_back({absl::StrCat("zip_", name),
                      Reader::kModel,
                      {kWeights, expected},
                      WithWeights(std::move(weights))});
  }
  std::vector<Case> Take() { return std::move(cases_); }

 private:
  std::vector<Case> cases_;
};

size_t Find(const std::string& file, const std::string& signature, const std::string& name) {
  for (size_t at = file.find(signature); at != std::string::npos;
       at = file.find(signature, at + 1)) {
    const size_t name_at = at + (signature == "PK\3\4" ? 30 : 46);
    if (file.compare(name_at, name.size(), name) == 0) return at;
  }
  ADD_FAILURE() << name;
  return 0;
}
size_t Local(const std::string& file) { return Find(file, "PK\3\4", kName); }
size_t Directory(const std::string& file) { return Find(file, "PK\1\2", kName); }
size_t End(const std::string& file) { return file.size() - 22; }
size_t Locator(const std::string& file) { return file.size() - 42; }
size_t End64(const std::string& file) { return file.size() - 98; }

std::string Patch(std::string file, size_t at, const std::string& bytes) {
  return file.replace(at, bytes.size(), bytes);
}

// Fields of the structures, each with a lie.
struct Lie {
  const char* name;
  size_t (*place)(const std::string&);
  size_t offset;
  std::string bytes;
  const char* expected;
};

void AddLies(Builder& cases) {
  const std::string whole = SmallParts().Write();
  const std::string all1s = "\xFF\xFF\xFF\xFF";
  const char kDisagree[] = "disagree on size or CRC";
  const char kFlags[] = "expected no flags but 0x8 and 0x800";
  const char kMethod[] = "expected stored data, found compression method";
  const char kHow[] = "its local header and the directory disagree on how it is stored";
  const char kTwoEnds[] = "the two end records disagree";
  const char kDisks[] = "spread over several disks";
  const std::string two("\2\0", 2);
  const std::vector<Lie> lies = {
      {"directory_signature", Directory, 0, "PK\1\3", "directory entries, found 4"},
      {"directory_encrypted", Directory, 8, "\x09\x08", kFlags},
      {"directory_strongly_encrypted", Directory, 8, "\x48\x08", kFlags},
      {"directory_patched", Directory, 8, "\x28\x08", kFlags},
      {"directory_masked", Directory, 8, "\x08\x28", kFlags},
      {"directory_deflated", Directory, 10, std::string("\x08\0", 2), kMethod},
      {"directory_bzip2", Directory, 10, std::string("\x0C\0", 2), kMethod},
      {"directory_zstd", Directory, 10, std::string("\x5D\0", 2), kMethod},
      {"directory_aes", Directory, 10, std::string("\x63\0", 2), kMethod},
      {"directory_crc", Directory, 16, "\1\2\3\4", kDisagree},
      {"directory_compressed_size", Directory, 20, std::string("\x05\0\0\0", 4),
       "expected stored data of one size"},
      {"directory_compressed_in_64_without_field", Directory, 20, all1s,
       "zip64 field is too short"},
      {"directory_size", Directory, 24, std::string("\x05\0\0\0", 4),
       "expected stored data of one size"},
      {"directory_size_in_64_without_field", Directory, 24, all1s, "zip64 field is too short"},
      {"directory_both_sizes_small", Directory, 20, std::string("\x1E\0\0\0\x1E\0\0\0", 8),
       "is followed by"},
      {"directory_both_sizes_0", Directory, 20, std::string(8, '\0'), "is followed by"},
      {"directory_both_sizes_large", Directory, 20, std::string("\0\0\0\x7F\0\0\0\x7F", 8),
       "bytes of data reach past"},
      {"directory_name_long", Directory, 28, "\xFF\xFF", "is cut short"},
      {"directory_name_empty", Directory, 28, std::string("\0\0", 2), "expected a name of 1 to"},
      {"directory_extra_long", Directory, 30, "\xFF\xFF", "is cut short"},
      {"directory_comment_long", Directory, 32, "\xFF\xFF", "is cut short"},
      {"directory_local_header_beyond", Directory, 42, "\xFE\xFF\xFF\xFF",
       "its local header is not where the directory says"},
      {"directory_local_header_of_another", Directory, 42, std::string("\0\0\0\0", 4),
       "its local header has another name"},
      {"directory_local_header_in_data", Directory, 42, std::string("\x05\0\0\0", 4),
       "its local header is not where the directory says"},
      {"directory_local_header_in_64_without_field", Directory, 42, all1s,
       "zip64 field is too short"},
      {"local_signature", Local, 0, "PK\3\5", "its local header is not where"},
      {"local_flags", Local, 6, std::string("\0\0", 2), kHow},
      {"local_encrypted", Local, 6, "\x09\x08", kHow},
      {"local_deflated", Local, 8, std::string("\x08\0", 2), kHow},
      {"local_crc", Local, 14, "\1\2\3\4", kDisagree},
      {"local_compressed_size", Local, 18, std::string("\x20\0\0\0", 4), kDisagree},
      {"local_size", Local, 22, std::string("\x20\0\0\0", 4), kDisagree},
      {"local_size_in_64_without_field", Local, 22, all1s, "zip64 field is too short"},
      {"local_name_short", Local, 26, std::string("\x0D\0", 2),
       "its local header has another name"},
      {"local_name_long", Local, 26, "\xFF\xFF", "reach past"},
      {"local_extra_long", Local, 28, "\xFF\xFF", "reach past"},
      {"local_extra_short", Local, 28, std::string("\x04\0", 2), "fields are damaged"},
      {"end_signature", End, 0, "PK\5\7", "no end record at the end of the file"},
      {"end_disk", End, 4, std::string("\1\0", 2), kDisks},
      {"end_directory_disk", End, 6, std::string("\1\0", 2), kDisks},
      {"end_entries_here", End, 8, two, "the end record gives two numbers of entries"},
      {"end_entries_in_all", End, 10, two, "the end record gives two numbers of entries"},
      {"end_entries", End, 8, two + two, kTwoEnds},
      {"end_size", End, 12, std::string("\1\0\0\0", 4), kTwoEnds},
      {"end_begin", End, 16, std::string("\1\0\0\0", 4), kTwoEnds},
      {"end_comment", End, 20, std::string("\1\0", 2), "the end record has a comment"},
      {"locator_lies", Locator, 8, std::string("\0\0\0\0\0\0\0\0", 8),
       "the zip64 end record is not where its locator says"},
      {"locator_far", Locator, 8, "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF",
       "the zip64 end record is not where its locator says"},
      {"end64_signature", End64, 0, "PK\6\5", "the zip64 end record is not where"},
      {"end64_record_size", End64, 4, "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F",
       "the zip64 end record is not where"},
      {"end64_disk", End64, 16, std::string("\1\0\0\0", 4), kDisks},
      {"end64_directory_disk", End64, 20, std::string("\1\0\0\0", 4), kDisks},
      {"end64_entries_here", End64, 24, std::string("\1\0\0\0\0\0\0\0", 8), kDisks},
      {"end64_entries", End64, 24, std::string("\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0", 16), kTwoEnds},
      {"end64_size", End64, 40, "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F", kTwoEnds},
      {"end64_begin", End64, 48, "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", kTwoEnds},
  };
  for (const Lie& lie : lies) {
    cases.Bad(lie.name, Patch(whole, lie.place(whole) + lie.offset, lie.bytes), lie.expected);
  }
  // The end records refer to each other, and to nothing that is.
  std::string in64 = Patch(whole, End(whole) + 8, std::string(12, '\xFF'));
  cases.Good("end_all_in_64", in64);
  cases.Bad("end64_huge_entries",
            Patch(in64, End64(whole) + 24,
                  std::string(7, '\xFF') + "\x7F" + std::string(7, '\xFF') + "\x7F"),
            "expected at most 20000 entries");
  cases.Bad("end64_huge_size", Patch(in64, End64(whole) + 40, std::string(8, '\xFF')),
            "the directory does not end where the end record begins");
  cases.Bad("end64_huge_begin", Patch(in64, End64(whole) + 48, std::string(8, '\xFF')),
            "the directory does not end where the end record begins");
}

// The file cut before and inside of every structure.
void AddCuts(Builder& cases) {
  const std::string whole = SmallParts().Write();
  int number = 0;
  for (size_t at = whole.find("PK"); at != std::string::npos; at = whole.find("PK", at + 1)) {
    for (const size_t size : {at, at + 3}) {
      cases.Bad(absl::StrCat("cut_", number++), whole.substr(0, size),
                size < 22 ? "too short" : "no end record at the end of the file");
    }
  }
  cases.Bad("cut_last_byte", whole.substr(0, whole.size() - 1), "no end record");
  cases.Bad("only_end_record", whole.substr(End(whole)), "the directory does not end where");
  cases.Bad("without_directory", whole.substr(0, whole.find("PK\1\2")) + whole.substr(End64(whole)),
            "the zip64 end record is not where its locator says");
}

void AddNames(Builder& cases) {
  const auto with_name = [](const std::string& name) {
    TorchParts parts = SmallParts();
    parts.storages.push_back({.name = name, .data = "x"});
    return parts.Write();
  };
  cases.Good("name", with_name("archive/.data/serialization_id"));
  cases.Good("name_long", with_name(std::string(512, 'n')));
  const std::vector<std::pair<std::string, std::string>> names = {
      {"up", "../x"},
      {"up_inside", "archive/../../etc/passwd"},
      {"up_last", "archive/.."},
      {"here", "archive/./x"},
      {"absolute", "/etc/passwd"},
      {"doubled_slash", "archive//x"},
      {"folder", "archive/x/"},
      {"root", "/"},
      {"dot", "."},
      {"two_dots", ".."}};
  for (const auto& [name, text] : names) {
    cases.Bad("name_" + name, with_name(text), "its name is not a plain relative path");
  }
  const std::vector<std::pair<std::string, std::string>> characters = {
      {"zero", std::string("a\0b", 3)},
      {"newline", "a\nb"},
      {"escape", "\x1b[2J"},
      {"delete", "a\x7f"},
      {"drive", "C:x"},
      {"backslash", "..\\x"},
      {"umlaut", "\xC3\xA4"},
      {"not_utf8", "\xFF"}};
  for (const auto& [name, text] : characters) {
    cases.Bad("name_with_" + name, with_name(text), "a character that is not allowed");
  }
  cases.Bad("name_too_long", with_name(std::string(513, 'n')), "expected a name of 1 to 512");
  cases.Bad("name_doubled", with_name(kName), "stands there twice");
  cases.Bad("name_of_second_pickle", with_name("other/data.pkl"), "two entries named data.pkl");
  cases.Bad("no_pickle", WriteZip({{.name = "archive/version", .data = "3\n"}}),
            "no entry data.pkl");
  cases.Bad("no_entries", WriteZip({}), "no entry data.pkl");
}

// An entry whose data is another entry: the directory lists both.
std::string Nested() {
  const std::string inner_name = "archive/inner";
  const std::string header =
      absl::StrCat("PK\3\4", std::string("\0\0\0\x08\0\0\0\0\0\0", 10), Bytes(uint32_t{0x8CDC1683}),
                   Bytes(uint32_t{1}), Bytes(uint32_t{1}), Bytes(uint16_t{13}), Bytes(uint16_t{0}),
                   inner_name, "x");
  ZipPart outer = {.name = "archive/outer", .data = header, .descriptor = false};
  ZipPart inner = {.name = inner_name, .data = "x", .descriptor = false};
  // Where WriteZip() puts outer's data, the first of the file: 30 + 13 + 4, padded to 64.
  inner.directory_begin = 64;
  TorchParts parts = SmallParts();
  std::vector<ZipPart> entries = {outer};
  entries.insert(entries.end(), parts.storages.begin(), parts.storages.end());
  entries.push_back(inner);
  return WriteZip(entries);
}

void AddArrangements(Builder& cases) {
  const std::string whole = SmallParts().Write();
  TorchParts parts = SmallParts();
  cases.Good("as_torch_writes_it", whole);
  cases.Good("without_zip64", parts.Write({.zip64_end = false}));
  cases.Bad("entry_in_an_entry", Nested(), "overlaps");
  cases.Bad("bytes_before_directory", parts.Write({.before_directory = "x"}), "that are none's");
  cases.Bad("hidden_entry",
            parts.Write({.before_directory = WriteZip({{.name = "x", .data = "x"}})}),
            "that are none's");
  cases.Bad("comment", parts.Write({.comment = "x"}), "no end record at the end of the file");
  cases.Bad("two_end_records", whole + whole.substr(End(whole)),
            "the directory does not end where the end record begins");
  cases.Bad("two_end_records_with_zip64", whole + whole.substr(End64(whole)),
            "the zip64 end record is not where its locator says");
  cases.Bad("end_record_in_comment", parts.Write({.comment = whole.substr(End(whole))}),
            "the directory does not end where the end record begins");
  cases.Bad("twice", whole + whole, "the zip64 end record is not where its locator says");
  cases.Bad("bytes_in_front", "x" + whole, "the zip64 end record is not where its locator says");
  cases.Bad("program_in_front", "#!/bin/sh\n" + parts.Write({.zip64_end = false}),
            "the directory does not end where the end record begins");
  cases.Bad("bytes_behind", whole + "x", "no end record at the end of the file");
  cases.Bad("more_entries", parts.Write({.zip64_end = false, .more_entries = 1}),
            "directory entries, found");
  cases.Bad("fewer_entries", parts.Write({.zip64_end = false, .more_entries = -1}),
            "the directory has more bytes than its entries");
  cases.Bad("directory_later", parts.Write({.zip64_end = false, .more_directory_begin = 1}),
            "the directory does not end where");
  cases.Bad("directory_shorter", parts.Write({.zip64_end = false, .more_directory_size = -1}),
            "the directory does not end where");
  cases.Bad(
      "directory_from_within",
      parts.Write({.zip64_end = false, .more_directory_begin = 46, .more_directory_size = -46}),
      "directory entries, found 0");
  std::vector<ZipPart> many;
  for (int i = 0; i < 20'001; ++i) {
    many.push_back({.name = absl::StrCat(i), .data = "", .descriptor = false, .alignment = 1});
  }
  cases.Bad("many_entries", WriteZip(many), "expected at most 20000 entries, found 20001");
  cases.Bad("not_a_zip", std::string(1000, 'x'), "no end record");
  cases.Bad("rar", "Rar!\x1a\x07" + std::string(1000, 'x'), "no end record");
  cases.Bad("legacy_torch_file",
            "\x80\x02\x8a\x0al\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.",
            "too short to be a zip file");

  parts = SmallParts();
  parts.storages[3].zip64 = true;
  cases.Good("zip64_with_descriptor", parts.Write());
  parts.storages[3].descriptor = false;
  const std::string wide = parts.Write();
  cases.Good("zip64_entry", wide);
  const size_t directory = Directory(wide) + 46 + sizeof kName - 1;
  const size_t local = Local(wide) + 30 + sizeof kName - 1;
  cases.Bad(
      "zip64_huge_size",
      Patch(wide, directory + 4, std::string(7, '\xFF') + "\x7F" + std::string(7, '\xFF') + "\x7F"),
      "bytes of data reach past the directory");
  cases.Bad("zip64_size_2_to_64", Patch(wide, directory + 4, std::string(16, '\xFF')),
            "bytes of data reach past the directory");
  cases.Bad("zip64_huge_begin", Patch(wide, directory + 20, std::string(8, '\xFF')),
            "its local header is not where the directory says");
  cases.Bad("zip64_local_size", Patch(wide, local + 4, std::string("\x1E", 1)),
            "disagree on size or CRC");
  cases.Bad("zip64_short_field", Patch(wide, directory + 2, std::string("\x10\0", 2)),
            "zip64 field is too short");
  cases.Bad("zip64_long_field", Patch(wide, directory + 2, "\xFF\xFF"), "extra fields are damaged");
  cases.Bad("zip64_other_id", Patch(wide, directory, std::string("\2\0", 2)),
            "zip64 field is too short");
}

void AddSums(Builder& cases) {
  for (size_t i = 0; i < SmallParts().storages.size(); ++i) {
    TorchParts parts = SmallParts();
    parts.storages[i].crc32 = 0x01020304;
    cases.Bad(absl::StrCat("crc_", i), parts.Write(),
              absl::StrCat(parts.storages[i].name, "\": expected CRC-32 01020304, found "));
  }
  TorchParts parts = SmallParts();
  parts.storages[3].descriptor_crc32 = 0x01020304;
  cases.Bad("descriptor_crc", parts.Write(), "its descriptor and the directory disagree");
  parts = SmallParts();
  parts.storages[3].local_name = "archive/data/4";
  cases.Bad("local_name", parts.Write(), "its local header has another name");
  parts = SmallParts();
  parts.storages[3].directory_size = 16;
  cases.Bad("directory_size_smaller", parts.Write(), "is followed by");
  parts.storages[3].directory_size = 1 << 20;
  cases.Bad("directory_size_larger", parts.Write(), "bytes of data reach past");
  parts = SmallParts();
  parts.storages[3].descriptor_signature = false;
  cases.Good("descriptor_without_signature", parts.Write());
  parts = SmallParts();
  parts.storages[3].alignment = 1;
  cases.Good("not_aligned", parts.Write());
  parts = SmallParts();
  parts.storages.push_back({.name = "archive/data/99", .data = std::string(100'000, 'x')});
  cases.Bad("large_entry_that_none_uses", parts.Write(),
            "archive/data/99\": expected at most 65536 bytes that no tensor uses, found 100000");
}

}  // namespace

std::vector<Case> ZipCases() {
  Builder cases;
  AddArrangements(cases);
  AddLies(cases);
  AddCuts(cases);
  AddNames(cases);
  AddSums(cases);
  return cases.Take();
}

}  // namespace llama::forged
