"""Attention among points of a set, with a penalty on squared distance that each head learns.

Head h adds −γ_h |x − x'|² to its scores, as Press et al. 2022 (ALiBi) add a penalty on distance in a text. What is
the same for all keys changes no weight, so that is 2γ_h x·x' − γ_h |x'|²: a few more numbers in each query and each
key, and distances are never written out for pairs.
"""

import torch
from torch import Tensor, nn

from ..core import single
from ..core.checks import require_name
from .networks import Level, zeroed

NEVER = -1e5                         # the score of padding
PARTS = ("itself", "others", "mlp")


def doubling_lengthscales(heads: int, least: float) -> Tensor:
    """Lengthscales of heads, each twice the one before: (heads,)."""
    return least * 2.0 ** single.arange(heads)


class Attention(nn.Module):
    """Multi-head attention of queries to a set of tokens: memory = prepare(tokens, places) once, then any queries.

    One head for each of the `lengthscales` (heads,), from which it starts: γ = 1/(2 lengthscale²). With `zero_key`
    there is one more key, of a token of zeros at no distance: a point with nothing near need not attend far away. Of a
    set without tokens every query gets zeros, and has no zero key either.
    """

    def __init__(self, width: int, lengthscales: Tensor, zero_key: bool = False):
        super().__init__()
        self.heads, self.size, self.zero_key = len(lengthscales), width // len(lengthscales), zero_key
        self.query, self.key_value, self.output = (nn.Linear(width, n) for n in (width, 2 * width, width))
        self.log_gamma = nn.Parameter(-(2 * lengthscales**2).log())

    def _split(self, x: Tensor, *more: Tensor) -> Tensor:
        """(b, k, width) -> (b, heads, k, size + more)."""
        heads = x.unflatten(-1, (self.heads, self.size)).transpose(1, 2)
        return torch.cat([heads, *(m.expand(*heads.shape[:3], -1) for m in more)], -1)

    def prepare(self, tokens: Tensor, places: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Tokens (b, k, width) at places (1 or b, k, d) -> keys and values (b, heads, k, …). mask (b, k): what is
        real."""
        places = places[:, None]
        square = -self.log_gamma.exp()[:, None, None] * places.square().sum(-1, keepdim=True)
        if mask is not None:
            square = torch.where(mask[:, None, :, None], square, NEVER)
        more = [places, square]
        if self.zero_key and tokens.shape[1]:
            last = nn.functional.pad(torch.zeros_like(square), (0, 0, 0, 1), value=1.0)
            tokens, *more = (nn.functional.pad(t, (0, 0, 0, 1)) for t in (tokens, *more))
            more.append(last)
        k, v = self.key_value(tokens).chunk(2, -1)
        return self._split(k, *more), self._split(v)

    def forward(self, x: Tensor, places: Tensor, memory: tuple[Tensor, Tensor]) -> Tensor:
        """Queries (b, p, width) at places (1 or b, p, d), and the memory of b sets or of one -> (b, p, width)."""
        if memory[0].shape[2] == 0:
            return self.output(torch.zeros_like(x))
        places, gamma = places[:, None], self.log_gamma.exp()[:, None, None]
        more = [2 * gamma * places, places.new_ones(1, 1, 1, 1)]
        if self.zero_key:
            more.append(gamma * places.square().sum(-1, keepdim=True))
        q = self._split(self.query(x) / self.size**0.5, *more)
        keys, values = (t.expand(len(x), -1, -1, -1) for t in memory)
        values = nn.functional.pad(values, (0, keys.shape[-1] - self.size))          # as long as keys: the quick kernel
        found = nn.functional.scaled_dot_product_attention(q, keys, values, scale=1.0)[..., :self.size]
        return self.output(found.transpose(1, 2).flatten(2))


class SetBlock(nn.Module):
    """A residual block of a set transformer: its `parts` in turn, each behind its own normalisation.

    "itself": the points attend to each other; "others": they attend to a memory that is given; "mlp": two layers at
    each point. A `level` of so many features scales and shifts what goes into each part (Perez et al. 2018); a fresh
    block ignores it. `affine`: normalisations have weights. `identity`: a fresh block returns its input. `zero_key`:
    see Attention.
    """

    def __init__(self, width: int, lengthscales: Tensor, level: int = 0, parts: tuple[str, ...] = ("itself", "mlp"), *,
                 affine: bool = False, identity: bool = False, zero_key: bool = False):
        super().__init__()
        self.parts = tuple(require_name(part, PARTS, "part") for part in parts)
        self.norms = nn.ModuleList(nn.LayerNorm(width, elementwise_affine=affine) for _ in parts)
        self.film = nn.Linear(level, 2 * len(parts) * width) if level else None
        self.itself = Attention(width, lengthscales, zero_key) if "itself" in parts else None
        self.others = Attention(width, lengthscales, zero_key) if "others" in parts else None
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))
        fresh = [self.film] if level else []
        if identity:
            fresh += [self.mlp[-1], *(a.output for a in (self.itself, self.others) if a is not None)]
        for layer in fresh:
            zeroed(layer)

    def forward(self, x: Tensor, places: Tensor, *, level: Tensor | None = None, mask: Tensor | None = None,
                memory: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Points x (b, k, width) at places (1 or b, k, d), level (1 or b, level) -> (b, k, width). mask (b, k): which
        points are real; `memory`: what `others.prepare` makes of other points."""
        film = None if self.film is None else self.film(level)[:, None].chunk(2 * len(self.parts), -1)
        for i, part in enumerate(self.parts):
            h = self.norms[i](x)
            h = h if film is None else h * (1 + film[2 * i]) + film[2 * i + 1]
            if part == "itself":
                x = x + self.itself(h, places, self.itself.prepare(h, places, mask))
            elif part == "others":
                x = x + self.others(h, places, memory)
            else:
                x = x + self.mlp(h)
        return x


class SetTransformer(nn.Module):
    """F(tokens (b, k, channels), places (k, d), level (b or 1,), observations) -> (b, k, out).

    `observations`: features (b or 1, m, features), places (b or 1, m, d) and mask (b or 1, m).
    """

    def __init__(self, d: int, k: int, channels: int, out: int, features: int, width: int, depth: int, heads: int):
        super().__init__()
        lengthscales = doubling_lengthscales(heads, 2 * k ** (-1 / d))
        self.level = Level(width)
        self.input, self.condition = nn.Linear(channels, width), nn.Linear(features, width)
        self.blocks = nn.ModuleList(
            SetBlock(width, lengthscales, width, ("itself", "others", "mlp"), affine=True, identity=True, zero_key=True)
            for _ in range(depth))
        self.output = nn.Sequential(nn.LayerNorm(width), zeroed(nn.Linear(width, out)))

    def forward(self, x: Tensor, places: Tensor, level: Tensor, observations: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        h, level = self.input(x), self.level(level)
        features, given, mask = observations
        features = self.condition(features)
        for block in self.blocks:
            h = block(h, places[None], level=level, memory=block.others.prepare(features, given, mask))
        return self.output(h)
