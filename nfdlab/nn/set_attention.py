"""Attention among points of a set: near ones are heard louder, by a law of distance that each head learns.

Head h adds −γ_h |x − x'|² to its scores. Less what is the same for all keys, that is 2γ_h x·x' − γ_h |x'|²: a few more
numbers in each question and each key, so distances are never written out for pairs.
"""

import torch
from torch import Tensor, nn

REACH = 0.06, 1.5                    # of the heads at first, log-even, in units of the box
NEVER = -1e5                         # the score of padding


class Ask(nn.Module):
    """Queries ask a set of keys: memory = remember(tokens, places) once, then forward for any queries."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads, self.size = heads, width // heads
        self.question, self.output = nn.Linear(width, width), nn.Linear(width, width)
        self.told = nn.Linear(width, 2 * width)
        low, high = torch.tensor(REACH).log().tolist()
        reach = torch.exp(torch.linspace(low, high, heads))
        self.log_gamma = nn.Parameter(-(2 * reach**2).log())

    def _split(self, x: Tensor, *more: Tensor) -> Tensor:
        heads = x.unflatten(-1, (self.heads, self.size)).transpose(1, 2)
        return torch.cat([heads, *(m.expand(*heads.shape[:3], -1) for m in more)], -1)

    def prepare(self, tokens: Tensor, places: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (b, heads, k, …) of tokens (b, k, w) at places (1 or b, k, d); mask (b, k): what is real."""
        k, v = self.told(tokens).chunk(2, -1)
        square = -self.log_gamma.exp()[:, None, None] * places.square().sum(-1, keepdim=True)[:, None]
        return self._split(k, places[:, None], torch.where(mask[:, None, :, None], square, NEVER)), self._split(v)

    def forward(self, query: Tensor, places: Tensor, memory: tuple[Tensor, Tensor]) -> Tensor:
        """Queries (b, p, w) at places (1 or b, p, d) -> what they hear (b, p, w)."""
        near = 2 * self.log_gamma.exp()[:, None, None] * places[:, None]
        q = self._split(self.question(query) / self.size**0.5, near, near.new_ones(1, 1, 1, 1))
        keys, values = memory
        values = nn.functional.pad(values, (0, keys.shape[-1] - self.size))          # as long as keys: the quick kernel
        heard = nn.functional.scaled_dot_product_attention(q, keys, values, scale=1.0)[..., :self.size]
        return self.output(heard.transpose(1, 2).flatten(2))


class SetBlock(nn.Module):
    """Attention, then two layers at each point by itself; what is `given` (b or 1, g) scales and shifts what goes into
    both (Perez et al. 2018)."""

    def __init__(self, width: int, heads: int, given: int):
        super().__init__()
        self.ask = Ask(width, heads)
        self.norms = nn.ModuleList(nn.LayerNorm(width, elementwise_affine=False) for _ in range(2))
        self.film = nn.Linear(given, 4 * width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))
        nn.init.zeros_(self.film.weight), nn.init.zeros_(self.film.bias)

    def among(self, x: Tensor, places: Tensor, mask: Tensor, given: Tensor) -> Tensor:
        """Points x (b, k, w) of a set ask one another."""
        scale, shift, *_ = self.film(given)[:, None].chunk(4, -1)
        return self(x, places, self.ask.prepare(self.norms[0](x) * (1 + scale) + shift, places, mask), given)

    def forward(self, x: Tensor, places: Tensor, memory: tuple[Tensor, Tensor], given: Tensor) -> Tensor:
        """Points x (b, p, w) ask a memory of others."""
        scale, shift, scale2, shift2 = self.film(given)[:, None].chunk(4, -1)
        x = x + self.ask(self.norms[0](x) * (1 + scale) + shift, places, memory)
        return x + self.mlp(self.norms[1](x) * (1 + scale2) + shift2)
