"""The Llama 2 architecture in PyTorch, for training: parameters under Meta's names."""
import dataclasses
import math

import torch
from torch import nn
from torch.nn import functional


@dataclasses.dataclass
class Shape:
    """As in params.json."""
    dim: int = 192
    n_layers: int = 5
    n_heads: int = 6
    n_kv_heads: int = 3
    vocab_size: int = 3000
    multiple_of: int = 32
    norm_eps: float = 1e-5

    def hidden(self):
        hidden = int(2 * (4 * self.dim) / 3)
        return self.multiple_of * ((hidden + self.multiple_of - 1) // self.multiple_of)


class RmsNorm(nn.Module):
    """Its weight is applied to the columns of the matrices that follow, which are smaller than the activations: see
    scaled()."""

    def __init__(self, shape):
        super().__init__()
        self.eps = shape.norm_eps
        self.weight = nn.Parameter(torch.ones(shape.dim))

    def forward(self, x):
        return x * torch.rsqrt(torch.linalg.vector_norm(x, dim=-1, keepdim=True).square() / x.shape[-1] + self.eps)


def scaled(linear, norm, x):
    """linear(x * norm.weight)."""
    return functional.linear(x, linear.weight * norm.weight)


def rope_tables(head_dim, length, theta=10000.0):
    """cos and sin of the angles: [length, 1, head_dim / 2] each."""
    frequencies = theta ** (-torch.arange(0, head_dim, 2, dtype=torch.float64) / head_dim)
    angles = torch.outer(torch.arange(length, dtype=torch.float64), frequencies)
    return angles.cos().float()[:, None], angles.sin().float()[:, None]


def rotate(x, cos, sin):
    """x: [rows, length, heads, head_dim]. Here elements i and i + head_dim / 2 of a head turn together, which is faster
    than the adjacent pairs of Meta's layout; the export reorders the rows of wq and wk."""
    first, second = x.chunk(2, -1)
    return torch.cat((first * cos - second * sin, first * sin + second * cos), -1)


def to_adjacent_pairs(weight, head_dim):
    """Rows of a wq or wk from this file's order to Meta's."""
    return weight.view(-1, 2, head_dim // 2, weight.shape[1]).transpose(1, 2).reshape(weight.shape)


class Attention(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = shape.n_heads, shape.n_kv_heads, shape.dim // shape.n_heads
        self.wq = nn.Linear(shape.dim, shape.dim, bias=False)
        self.wk = nn.Linear(shape.dim, self.kv_heads * self.head_dim, bias=False)
        self.wv = nn.Linear(shape.dim, self.kv_heads * self.head_dim, bias=False)
        self.wo = nn.Linear(shape.dim, shape.dim, bias=False)

    def forward(self, x, norm, mask, cos, sin):
        rows, length, _ = x.shape
        x = norm(x)
        q = scaled(self.wq, norm, x).view(rows, length, self.heads, self.head_dim)
        k = scaled(self.wk, norm, x).view(rows, length, self.kv_heads, self.head_dim)
        v = scaled(self.wv, norm, x).view(rows, length, self.kv_heads, self.head_dim)
        scale = 1 / math.sqrt(self.head_dim)
        q, k = rotate(q, cos * scale, sin * scale), rotate(k, cos, sin)
        # The query heads of a group lie one after the other over their key and value head.
        group = self.heads // self.kv_heads
        q = q.view(rows, length, self.kv_heads, group, self.head_dim).permute(0, 2, 3, 1, 4)
        q = q.reshape(rows * self.kv_heads, group * length, self.head_dim)
        k = k.permute(0, 2, 3, 1).reshape(rows * self.kv_heads, self.head_dim, length)
        v = v.permute(0, 2, 1, 3).reshape(rows * self.kv_heads, length, self.head_dim)
        scores = torch.bmm(q, k).view(rows, self.heads, length, length) + mask
        weights = scores.softmax(-1).view(rows * self.kv_heads, group * length, length)
        mixed = torch.bmm(weights, v).view(rows, self.heads, length, self.head_dim)
        return self.wo(mixed.transpose(1, 2).reshape(rows, length, -1))


class FeedForward(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.w1 = nn.Linear(shape.dim, shape.hidden(), bias=False)
        self.w2 = nn.Linear(shape.hidden(), shape.dim, bias=False)
        self.w3 = nn.Linear(shape.dim, shape.hidden(), bias=False)

    def forward(self, x, norm):
        x = norm(x)
        return self.w2(functional.silu(scaled(self.w1, norm, x)) * scaled(self.w3, norm, x))


class Layer(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.attention = Attention(shape)
        self.feed_forward = FeedForward(shape)
        self.attention_norm = RmsNorm(shape)
        self.ffn_norm = RmsNorm(shape)

    def forward(self, x, mask, cos, sin):
        x = x + self.attention(x, self.attention_norm, mask, cos, sin)
        return x + self.feed_forward(x, self.ffn_norm)


class Llama(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.shape = shape
        self.tok_embeddings = nn.Embedding(shape.vocab_size, shape.dim)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.n_layers))
        self.norm = RmsNorm(shape)
        self.output = nn.Linear(shape.dim, shape.vocab_size, bias=False)
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                std = 0.02 if weight.shape[0] == shape.vocab_size else 1 / math.sqrt(weight.shape[1])
                if name.endswith(("wo.weight", "w2.weight")):  # What is added to the residual stream.
                    std /= math.sqrt(2 * shape.n_layers)
                nn.init.normal_(weight, std=std)

    def forward(self, ids, documents, learned):
        """Logits of the positions `learned` (indices into the flattened ids): [positions, vocab_size]. ids, documents:
        [rows, length]; documents: a number for each document of a row, since a token attends to its own document only.
        """
        length = ids.shape[1]
        cos, sin = rope_tables(self.shape.dim // self.shape.n_heads, length)
        seen = (documents[:, :, None] == documents[:, None, :]) & torch.ones(length, length, dtype=torch.bool).tril()
        mask = torch.zeros(seen.shape).masked_fill(~seen, -math.inf)[:, None]
        x = self.tok_embeddings(ids)
        for layer in self.layers:
            x = layer(x, mask, cos, sin)
        return scaled(self.output, self.norm, self.norm(x.flatten(0, 1)[learned]))
