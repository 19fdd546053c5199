"""A small network that denoises a set of tokens, each with a place: near ones hear each other best, in no order.

Attention with a penalty on squared distance, its strength learned by each head, as in Press et al. 2022 (ALiBi); the
noise level by scale and shift of the normalised features (Peebles & Xie 2023, DiT).
"""

import torch
from torch import Tensor, nn

from .networks import Level


class Attention(nn.Module):
    """Tokens (b, m, width) ask tokens (b or 1, q, width); places (m, d) and (b or 1, q, d) or (q, d)."""

    def __init__(self, width: int, heads: int, reach: float):
        super().__init__()
        self.heads = heads
        self.ask, self.told, self.output = nn.Linear(width, width), nn.Linear(width, 2 * width), nn.Linear(width, width)
        widths = reach * 2.0 ** torch.arange(heads)                     # heads that hear near by, and one afar
        self.penalty = nn.Parameter((1 / (2 * widths**2)).log())
        nn.init.zeros_(self.output.weight), nn.init.zeros_(self.output.bias)

    def forward(self, x: Tensor, places: Tensor, other: Tensor, others: Tensor, mask: Tensor | None = None) -> Tensor:
        """mask (b or 1, q): True where a token is real. One token more, of zeros, is always there to listen to."""
        b, m, width = x.shape
        q = self.ask(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
        told = self.told(torch.cat([other, torch.zeros_like(other[:, :1])], 1)).unflatten(2, (2, self.heads, -1))
        k, v = told.permute(2, 0, 3, 1, 4).expand(-1, b, -1, -1, -1)
        away = (places[:, None] - others[..., None, :, :]).square().sum(-1)                  # (…, m, q)
        bias = -self.penalty.exp()[:, None, None] * (away[:, None] if away.ndim == 3 else away)
        if mask is not None:
            bias = bias.masked_fill(~mask[:, None, None], -1e9)
        bias = torch.cat([bias, torch.zeros_like(bias[..., :1])], -1)
        bias = bias.expand(b, self.heads, -1, -1)                       # of full shape: five times faster on CPUs
        heard = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        return self.output(heard.transpose(1, 2).flatten(2))


class SetBlock(nn.Module):
    """Tokens hear each other, then the observations if there are any, then think: a residual block of three parts.

    Each part starts at zero.
    """

    def __init__(self, width: int, heads: int, reach: float, given: int = 0, seen: bool = False):
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.film = nn.Linear(given, 6 * width) if given else None
        self.each_other, self.seen = Attention(width, heads, reach), Attention(width, heads, reach) if seen else None
        self.think = nn.Sequential(nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))
        nn.init.zeros_(self.think[-1].weight), nn.init.zeros_(self.think[-1].bias)

    def forward(self, x: Tensor, places: Tensor, level: Tensor | None = None, seen: tuple | None = None) -> Tensor:
        film = None if self.film is None else self.film(level)[:, None].chunk(6, -1)

        def normed(i: int) -> Tensor:
            h = self.norms[i](x)
            return h if film is None else h * (1 + film[2 * i]) + film[2 * i + 1]

        h = normed(0)
        x = x + self.each_other(h, places, h, places)
        if self.seen is not None and seen is not None:
            x = x + self.seen(normed(1), places, *seen)
        return x + self.think(normed(2))


class SetTransformer(nn.Module):
    """F(tokens (b, many, channels), level (b or 1,), seen) -> (b, many, out), of tokens at fixed places (many, d).

    `seen`: what is known of the observations, as features (b or 1, m, told), places (b or 1, m, d), mask (b or 1, m).
    """

    def __init__(self, places: Tensor, channels: int, out: int, told: int, width: int, depth: int, heads: int):
        super().__init__()
        reach = 2 * len(places) ** (-1 / places.shape[1])
        self.level = Level(width)
        self.input, self.tell = nn.Linear(channels, width), nn.Linear(told, width)
        self.blocks = nn.ModuleList(SetBlock(width, heads, reach, width, True) for _ in range(depth))
        self.output = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, out))
        nn.init.zeros_(self.output[-1].weight), nn.init.zeros_(self.output[-1].bias)
        self.register_buffer("places", places, persistent=False)

    def forward(self, x: Tensor, level: Tensor, seen: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        h, given = self.input(x), self.level(level)
        features, places, mask = seen
        heard = self.tell(features), places, mask
        for block in self.blocks:
            h = block(h, self.places, given, heard)
        return self.output(h)
