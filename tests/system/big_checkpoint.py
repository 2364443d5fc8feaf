"""Writes a checkpoint that takes a moment to load: zeros, as torch.save would write them."""
import json
import zipfile

DIM, LAYERS, VOCABULARY, HIDDEN = 1024, 16, 512, 2816


def _shapes():
    yield "tok_embeddings.weight", (VOCABULARY, DIM)
    yield "norm.weight", (DIM,)
    yield "output.weight", (VOCABULARY, DIM)
    for layer in range(LAYERS):
        for name, shape in (("attention.wq", (DIM, DIM)), ("attention.wk", (DIM, DIM)), ("attention.wv", (DIM, DIM)),
                            ("attention.wo", (DIM, DIM)), ("feed_forward.w1", (HIDDEN, DIM)),
                            ("feed_forward.w2", (DIM, HIDDEN)), ("feed_forward.w3", (HIDDEN, DIM)),
                            ("attention_norm", (DIM,)), ("ffn_norm", (DIM,))):
            yield f"layers.{layer}.{name}.weight", shape


def _state_dict_pickle(shapes):
    """Opcodes of protocol 2, written out: there is no torch here."""
    def text(value):
        return b"X" + len(value).to_bytes(4, "little") + value.encode()

    def number(value):
        return b"J" + value.to_bytes(4, "little")

    out = [b"\x80\x02}("]
    for key, (name, shape) in enumerate(shapes):
        count = shape[0] * (shape[1] if len(shape) > 1 else 1)
        strides = (shape[1], 1) if len(shape) > 1 else (1,)
        out += [text(name), b"ctorch._utils\n_rebuild_tensor_v2\n((", text("storage"), b"ctorch\nBFloat16Storage\n",
                text(str(key)), text("cpu"), number(count), b"tQ", number(0), b"(",
                *map(number, shape), b"t(", *map(number, strides), b"t\x89ccollections\nOrderedDict\n)RtR"]
    return b"".join(out) + b"u."


def write_big_checkpoint(folder):
    """params.json and consolidated.00.pth, 430 MB, into a folder."""
    (folder / "params.json").write_text(json.dumps(
        {"dim": DIM, "n_layers": LAYERS, "n_heads": 16, "multiple_of": 256, "vocab_size": VOCABULARY}))
    shapes = list(_shapes())
    with zipfile.ZipFile(folder / "consolidated.00.pth", "w") as file:
        file.writestr("archive/data.pkl", _state_dict_pickle(shapes))
        for key, (_, shape) in enumerate(shapes):
            count = shape[0] * (shape[1] if len(shape) > 1 else 1)
            file.writestr(f"archive/data/{key}", bytes(2 * count))
