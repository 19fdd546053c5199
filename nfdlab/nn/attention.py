"""Attention among tokens that are all alike: multi-head self-attention, and a transformer block."""

import torch
from torch import Tensor, nn

from .networks import zeroed


class SelfAttention(nn.Module):
    """Multi-head self-attention, tokens (b, k, width) -> (b, k, width); a fresh one gives zeros.

    Vaswani et al. 2017.
    """

    def __init__(self, width: int, heads: int = 4):
        super().__init__()
        self.heads, self.read, self.output = heads, nn.Linear(width, 3 * width), zeroed(nn.Linear(width, width))

    def forward(self, tokens: Tensor) -> Tensor:
        q, k, v = self.read(tokens).unflatten(-1, (3, self.heads, -1)).movedim(2, 0).transpose(2, 3)
        found = nn.functional.scaled_dot_product_attention(q, k, v)
        return self.output(found.transpose(1, 2).flatten(2))


class TransformerBlock(nn.Module):
    """A residual transformer block, tokens (b, k, width) and what is given (b or 1, given) -> (b, k, width).

    What is given scales and shifts the normalised input of attention and of the two layers at each token (Peebles & Xie
    2023, sec. 3.2). A fresh block returns its input.
    """

    def __init__(self, width: int, given: int, heads: int = 4):
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width, elementwise_affine=False) for _ in range(2))
        self.film = zeroed(nn.Linear(given, 4 * width))
        self.attention = SelfAttention(width, heads)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.SiLU(), zeroed(nn.Linear(2 * width, width)))

    def forward(self, x: Tensor, given: Tensor) -> Tensor:
        films = self.film(given)[:, None].chunk(2, -1)
        for norm, film, part in zip(self.norms, films, (self.attention, self.mlp), strict=True):
            scale, shift = film.chunk(2, -1)
            x = x + part(torch.addcmul(shift, norm(x), 1 + scale))
        return x
