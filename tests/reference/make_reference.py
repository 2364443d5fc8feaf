#!/usr/bin/python3
"""Makes tests/data/reference/: tiny Llama 2 checkpoints written by torch.save, and what PyTorch makes of them.

    make_reference.py       (Debian's python3-torch)

Each folder gets params.json, consolidated.NN.pth and logits.bin: little-endian int32 counts of tokens, positions and
vocabulary, the token ids, the positions, then float32 logits, a row a position. The evaluation is written after the
papers, independent of this project's C++: float32 arithmetic on the weights as they are stored.
"""
import collections
import json
import math
import pathlib
import struct

import torch

torch.set_num_threads(1)
torch.set_grad_enabled(False)
DATA = pathlib.Path(__file__).parent.parent / "data"

#        dim heads kv layers vocab  stored          files  further params
SHAPES = {
    "gqa_head6": (48, 8, 2, 2, 64, torch.bfloat16, 1, {}),
    "mha_head10_f32": (40, 4, 4, 2, 50, torch.float32, 1, {"ffn_dim_multiplier": 1.3, "rope_theta": 1e6}),
    "gqa_head36_f16": (72, 2, 1, 2, 40, torch.float16, 1, {"norm_eps": 1e-6}),
    "two_files": (48, 4, 2, 2, 64, torch.bfloat16, 2, {}),
    "views": (48, 8, 2, 1, 64, torch.bfloat16, 1, {}),  # See as_views().
}
ROWS, COLS = 0, 1
SPLIT = {"tok_embeddings": COLS, "output": ROWS, "wq": ROWS, "wk": ROWS, "wv": ROWS, "wo": COLS, "w1": ROWS, "w2": COLS,
         "w3": ROWS}


def hidden_size(params):
    hidden = int(2 * (4 * params["dim"]) / 3)
    if "ffn_dim_multiplier" in params:
        hidden = int(params["ffn_dim_multiplier"] * hidden)
    return params["multiple_of"] * ((hidden + params["multiple_of"] - 1) // params["multiple_of"])


def make_weights(params, stored):
    dim, kv = params["dim"], params["dim"] // params["n_heads"] * params.get("n_kv_heads", params["n_heads"])
    hidden, vocab = hidden_size(params), params["vocab_size"]
    weights = {"tok_embeddings.weight": torch.randn(vocab, dim), "norm.weight": 1 + 0.2 * torch.randn(dim),
               "output.weight": torch.randn(vocab, dim) * 2 / math.sqrt(dim)}
    for layer in range(params["n_layers"]):
        prefix = f"layers.{layer}."
        for name, rows, cols in (("attention.wq", dim, dim), ("attention.wk", kv, dim), ("attention.wv", kv, dim),
                                 ("attention.wo", dim, dim), ("feed_forward.w1", hidden, dim),
                                 ("feed_forward.w2", dim, hidden), ("feed_forward.w3", hidden, dim)):
            weights[f"{prefix}{name}.weight"] = torch.randn(rows, cols) * 1.3 / math.sqrt(cols)
        for name in ("attention_norm", "ffn_norm"):
            weights[f"{prefix}{name}.weight"] = 1 + 0.2 * torch.randn(dim)
    return {name: weight.to(stored) for name, weight in weights.items()}


def as_views(weights):
    """The same in what else torch.save may write: an OrderedDict, parameters, strides, offsets, a shared storage."""
    result = collections.OrderedDict(weights)
    result["output.weight"] = weights["tok_embeddings.weight"]
    for name, weight in weights.items():
        if weight.dim() == 1:
            result[name] = torch.zeros(3 + 2 * len(weight), dtype=weight.dtype)[3::2].copy_(weight)
        elif "wq" in name:
            result[name] = weight.T.contiguous().T
        elif "w1" in name:
            result[name] = torch.nn.Parameter(weight)
    return result


def rms_norm(x, weight, eps):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * weight


def rotate(x, theta):
    """x: [positions, heads, head_dim]; adjacent pairs are complex numbers that turn with the position."""
    count, _, head_dim = x.shape
    frequencies = theta ** (-torch.arange(0, head_dim, 2, dtype=torch.float64) / head_dim)
    angles = torch.outer(torch.arange(count, dtype=torch.float64), frequencies)
    turn = torch.polar(torch.ones_like(angles), angles).to(torch.complex64)[:, None]
    return torch.view_as_real(torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2).contiguous()) * turn).flatten(-2)


def evaluate(params, weights, tokens):
    w = {name: weight.float() for name, weight in weights.items()}
    heads, kv_heads = params["n_heads"], params.get("n_kv_heads", params["n_heads"])
    head_dim, eps, theta = params["dim"] // heads, params["norm_eps"], params.get("rope_theta", 10000.0)
    count = len(tokens)
    mask = torch.full((count, count), -math.inf).triu(1)
    x = w["tok_embeddings.weight"][torch.tensor(tokens)]
    for layer in range(params["n_layers"]):
        def part(name, layer=layer):
            return w[f"layers.{layer}.{name}.weight"]
        h = rms_norm(x, part("attention_norm"), eps)
        q = rotate((h @ part("attention.wq").T).view(count, heads, head_dim), theta)
        k = rotate((h @ part("attention.wk").T).view(count, kv_heads, head_dim), theta)
        v = (h @ part("attention.wv").T).view(count, kv_heads, head_dim)
        k, v = (t.repeat_interleave(heads // kv_heads, 1) for t in (k, v))
        scores = torch.einsum("qhd,khd->hqk", q, k) / math.sqrt(head_dim) + mask
        attended = torch.einsum("hqk,khd->qhd", scores.softmax(-1), v).reshape(count, -1)
        x = x + attended @ part("attention.wo").T
        h = rms_norm(x, part("ffn_norm"), eps)
        gate = torch.nn.functional.silu(h @ part("feed_forward.w1").T)
        x = x + (gate * (h @ part("feed_forward.w3").T)) @ part("feed_forward.w2").T
    return rms_norm(x, w["norm.weight"], eps) @ w["output.weight"].T


def write_logits(path, tokens, positions, logits):
    with open(path, "wb") as file:
        file.write(struct.pack("<3i", len(tokens), len(positions), logits.shape[1]))
        file.write(struct.pack(f"<{len(tokens)}i{len(positions)}i", *tokens, *positions))
        file.write(logits[positions].numpy().astype("<f4").tobytes())


def main():
    for name, (dim, heads, kv_heads, layers, vocab, stored, files, further) in SHAPES.items():
        torch.manual_seed(sum(map(ord, name)))
        params = {"dim": dim, "n_heads": heads, "n_layers": layers, "multiple_of": 4, "norm_eps": 1e-5,
                  "vocab_size": vocab, **further}
        if kv_heads != heads:
            params["n_kv_heads"] = kv_heads
        weights = make_weights(params, stored)
        if name == "views":
            weights = as_views(weights)
        folder = DATA / "reference" / name
        folder.mkdir(parents=True, exist_ok=True)
        for file in range(files):
            shard = type(weights)()
            for key, weight in weights.items():
                axis = SPLIT.get(key.split(".")[-2])
                shard[key] = weight if axis is None or files == 1 else weight.chunk(files, axis)[file].clone()
            torch.save(shard, folder / f"consolidated.{file:02d}.pth")
        (folder / "params.json").write_text(json.dumps(params) + "\n")
        tokens = torch.randint(vocab, (24,)).tolist()
        write_logits(folder / "logits.bin", tokens, [0, 1, 10, 23], evaluate(params, weights, tokens))

    stories = DATA / "stories260K"
    params = json.loads((stories / "params.json").read_text())
    weights = torch.load(stories / "consolidated.00.pth", map_location="cpu")
    tokens = [1] + [(37 * i * i + 11 * i) % 509 + 3 for i in range(99)]
    (DATA / "reference" / "stories260K").mkdir(parents=True, exist_ok=True)
    write_logits(DATA / "reference" / "stories260K" / "logits.bin", tokens, [0, 20, 99],
                 evaluate(params, weights, tokens))


if __name__ == "__main__":
    main()
