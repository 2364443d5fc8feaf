#!/usr/bin/python3
"""Writes a training state as Meta ships models: consolidated.00.pth (bfloat16) and params.json.

    export.py DIR/state.pth FOLDER
"""
import json
import pathlib
import sys

import torch

import model


def main(state_path, folder):
    state = torch.load(state_path, map_location="cpu")
    shape = model.Shape(**state["shape"])
    weights = {}
    for name, weight in state["model"].items():
        if name.endswith(("wq.weight", "wk.weight")):
            weight = model.to_adjacent_pairs(weight, shape.dim // shape.n_heads)
        weights[name] = weight.to(torch.bfloat16).contiguous()
    torch.save(weights, pathlib.Path(folder) / "consolidated.00.pth")
    params = {"dim": shape.dim, "max_seq_len": 512, "multiple_of": shape.multiple_of, "n_heads": shape.n_heads,
              "n_kv_heads": shape.n_kv_heads, "n_layers": shape.n_layers, "norm_eps": shape.norm_eps,
              "vocab_size": shape.vocab_size}
    (pathlib.Path(folder) / "params.json").write_text(json.dumps(params) + "\n")
    print(f"{sum(w.numel() for w in weights.values()):,} parameters after {state['done']}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
