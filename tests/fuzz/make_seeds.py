#!/usr/bin/env python3
"""Makes the seeds of the fuzz targets from the small files in tests/data and from requests spelled out here:

    make_seeds.py FOLDER

fills FOLDER/TARGET/ for every target, and writes its dictionary, FOLDER/TARGET.dict. Needs protoc."""
import pathlib
import subprocess
import sys
import zipfile

TESTS = pathlib.Path(__file__).parent.parent
DATA = TESTS / "data"
PROTO = TESTS.parent / "proto"

REQUESTS = {  # The choice of requests_fuzz.cc, and requests in protobuf's text form.
    (0, "llama.v1.GenerateRequest"): [
        'prompt {text: "Once"} stopping {max_tokens: 5 stop_sequences: "Lily" stop_sequences: "\\n"} request_id: "a-1"',
        'prompt {chat {messages {role: ROLE_USER content: "Hi"}}} sampling {temperature: 0.7 top_p: 0.9 seed: 1}'],
    (1, "llama.v1.ModelServiceGenerateRequest"): [
        "prompt_token_ids: [1, 2, 3] sampling {temperature: 1 top_k: 5 top_p: 0.5 min_p: 0.1 seed: 7 "
        "repetition_penalty: 1.1 presence_penalty: 1 frequency_penalty: 1 penalty_window: 4 "
        "logit_bias {key: 5 value: -100}} stopping {max_tokens: 9 max_total_tokens: 20 min_tokens: 1 "
        "stop_token_ids: 4 time_limit {seconds: 1}} eos_token_ids: 2 output {top_candidates: 3 prompt: true}",
        'prompt_token_ids: 511 cache_salt: "x" stopping {time_limit {nanos: 999999999} ignore_eos: true}'],
    (2, "llama.v1.ScoreRequest"): [
        "token_ids: [1, 2, 3] from_position: 1 top_candidates: 2 candidate_token_ids: [5, 6]"],
    (3, "llama.v1.EncodeRequest"): [
        'prompt {text: "Once \\360\\237\\221\\200 upon"} tokens: true offset_unit: OFFSET_UNIT_UTF16 add_bos: false',
        'prompt {chat {messages {role: ROLE_SYSTEM content: "s"} messages {role: ROLE_USER content: "[INST]"}}} '
        'control_text: CONTROL_TEXT_POLICY_REJECT',
        "prompt {token_ids {ids: [1, 243, 162, 148, 131, 300]}} tokens: true offset_unit: OFFSET_UNIT_CODE_POINT"],
    (4, "llama.v1.DecodeRequest"): ["ids: [1, 400, 243, 162] keep_leading_space: true"],
    (5, "llama.v1.DecodeStreamRequest"): ["ids: [400, 243, 162, 148, 131] keep_leading_space: true"],
    (6, "llama.v1.ListTokensRequest"): ['page_size: 10 page_token: "500"', ""],
    (7, "llama.v1.GetInfoRequest"): ["tensors: true", ""]}

# Which of dictionaries/ a target's is made of, where it is not just the one of its name.
DICTIONARIES = {"chat": ["chat", "text"], "checkpoint": ["params", "pickle", "zip"], "encode": ["text"]}

TEXTS = ["", "Once upon a time", "  \n\t a  b ", "aaaa aaaaa abcabca<tag> c c ▁a", "x👀é\u0301🤷🏽‍♀️", "<s></s>[INST]<0x0A>"]


class Corpus:
    def __init__(self, root, target):
        self.folder = root / target
        self.folder.mkdir(parents=True, exist_ok=True)
        self.count = 0

    def add(self, data):
        (self.folder / f"seed{self.count:03}").write_bytes(data)
        self.count += 1


def encode(message, text):
    return subprocess.run(["protoc", f"-I{PROTO}", f"--encode={message}", *sorted(
        str(path.relative_to(PROTO)) for path in PROTO.glob("llama/v1/*.proto"))], cwd=PROTO, input=text.encode(),
        capture_output=True, check=True).stdout


def make_files(root):
    zips, pickles, folders, params = (Corpus(root, name) for name in ("zip", "pickle", "checkpoint", "params"))
    for path in sorted(DATA.glob("**/consolidated.*.pth")):
        with zipfile.ZipFile(path) as file:
            for name in file.namelist():
                if name.endswith("data.pkl"):
                    pickles.add(file.read(name))
        # What is large is slow to mutate, and no different.
        if path.stat().st_size < 100_000:
            zips.add(path.read_bytes())
            if path.name == "consolidated.00.pth":
                for choice in (0, 1, 2):
                    folders.add(bytes([choice]) + (path.parent / "params.json").read_bytes() + b"\0" + path.read_bytes())
    for path in sorted(DATA.glob("**/params.json")):
        params.add(path.read_bytes())
    params.add(b'{"dim": 4096, "multiple_of": 256, "n_heads": 32, "n_layers": 32, "norm_eps": 1e-06, "vocab_size": -1,'
               b'"ffn_dim_multiplier": 1.3, "n_kv_heads": null, "rope_theta": 1E6, "max_seq_len": 2048}')


def make_texts(root):
    vocabulary, encodes, decodes, chats, stops = (
        Corpus(root, name) for name in ("vocabulary", "encode", "decode", "chat", "stop_matcher"))
    vocabulary.add((DATA / "stories260K" / "tokenizer.model").read_bytes())
    for i, text in enumerate(TEXTS):
        data = text.encode()
        encodes.add(bytes([i]) + data)
        encodes.add(bytes([i + 1]) + data + b"\xf0\x9f\xff")
        ids = [bytes([0xF1 + (byte + 3 >> 8), byte + 3 & 0xFF]) for byte in data]
        decodes.add(bytes([i]) + b"".join(ids))
        decodes.add(bytes([4 + i % 4]) + b"\xf0".join(ids))
        decodes.add(bytes([i]) + b"".join(bytes([0xF2, byte]) for byte in data))  # Pieces of text.
        chats.add(bytes([i % 4]) + b"\2 " + data + b" ")
        chats.add(bytes([i % 4]) + b"\1" + data + b"\0\2 hello \0\3" + data + b"\0\2\n")
    for data in (b"\0\2ab\3abc\0a|b|c|ab|", b"\1\1a\0aa|a|a|b", b"\3\5aabab\3bab\2ab\1\0a|ab|aba|b|bb", b"\0\0abc|d"):
        stops.add(data)


def make_requests(root):
    corpus = Corpus(root, "requests")
    for (choice, message), texts in REQUESTS.items():
        for text in texts:
            data = encode(message, text)
            corpus.add(bytes([choice]) + data)
            if choice >= 3:
                corpus.add(bytes([0x80 | choice]) + data)


def make_dictionaries(root):
    folder = TESTS / "fuzz" / "dictionaries"
    for source in sorted((TESTS / "fuzz").glob("*_fuzz.cc")):
        target = source.name.removesuffix("_fuzz.cc")
        parts = [(folder / f"{part}.dict").read_text() for part in DICTIONARIES.get(target, [target])]
        (root / f"{target}.dict").write_text("".join(parts))


def main(arguments):
    if len(arguments) != 1:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    root = pathlib.Path(arguments[0])
    make_files(root)
    make_texts(root)
    make_requests(root)
    make_dictionaries(root)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
