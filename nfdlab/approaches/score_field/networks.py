"""A noisy function, known at the points of a lattice and at observations; what a clean one would be there and anywhere else.

D(q | x, sigma, seen) = linear(q) + spread(q) · F(q). The linear part is the best linear answer, in closed form from
two-point statistics; for a Gaussian field nothing is left to learn. F is a set transformer: the points of the lattice
and the observations speak to each other, and any query asks them. It starts at zero and learns what is not Gaussian.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ...core.grid import cell_centres, interpolate
from ...core.types import ObservationBatch
from ...fields.encodings import Fourier
from ...gaussian.karhunen_loeve import KarhunenLoeve, WeightPosterior
from ...nn.networks import Level
from ...nn.set_attention import SetBlock


@dataclass(frozen=True, eq=False)
class Heard:
    """A noisy lattice and observations, read once: all that a query needs. b functions, or one set of observations for all of them."""

    x: Tensor                        # (b, N, c)
    sigma: Tensor                    # (1 or b, 1, 1)
    belief: WeightPosterior | None
    given: Tensor                    # features of the level (1 or b, w)
    memory: tuple[Tensor, Tensor]
    surprise: Tensor                 # (x − linear) in standard deviations, (b, N, c)

    def __getitem__(self, part: slice | Tensor) -> "Heard":
        """Some of the functions, where sigma and observations are the same for all."""
        belief = None if self.belief is None else replace(self.belief, information=self.belief.information[part])
        return replace(self, x=self.x[part], belief=belief, surprise=self.surprise[part],
                       memory=tuple(t[part] for t in self.memory))


class DenoisedField(nn.Module):
    """D at any points, of functions of c channels over [-1, 1]^d. `lattice` (N, d) are cell centres, `side` an axis.

    `config` says width, depth, heads, octaves, linear; side and rank of the two-point statistics.
    """

    def __init__(self, config, d: int, c: int):
        super().__init__()
        w, self.d, self.c, self.side = config.width, d, c, config.context_for(d)
        side, rank = config.statistics_for(d)
        self.register_buffer("lattice", cell_centres((self.side,) * d), persistent=False)
        self.register_buffer("scale", torch.ones(()))                # a typical size of the functions
        self.linear = KarhunenLoeve(d, c, side, rank) if config.linear else None
        self.encode, self.level = Fourier(d, config.octaves), Level(w)
        self.point = nn.Linear(self.encode.out + 4 * c, w)
        self.dot = nn.Linear(self.encode.out + 4 * c + 1, w)
        self.ask = nn.Linear(self.encode.out + 3 * c, w)
        self.blocks = nn.ModuleList(SetBlock(w, config.heads, w) for _ in range(config.depth))
        self.last = SetBlock(w, config.heads, w)
        self.output = nn.Sequential(nn.LayerNorm(w), nn.SiLU(), nn.Linear(w, c))
        nn.init.zeros_(self.output[-1].weight), nn.init.zeros_(self.output[-1].bias)

    @property
    def shape(self) -> tuple[int, int]:
        """Of one function's values at the lattice."""
        return len(self.lattice), self.c

    def believe(self, x: Tensor, sigma: Tensor, seen: ObservationBatch) -> WeightPosterior | None:
        """What observations and a noisy lattice x (b, N, c) at sigma (1 or b, 1, 1) say by two-point statistics alone."""
        if self.linear is None:
            return None
        away = (x - self.linear.mean(self.lattice)).flatten(1)
        noise = (sigma**2 + self.linear.residual_variance(self.lattice)).flatten(1)
        return self.linear.condition(seen).updated(self.linear.rows(self.lattice), away, noise)

    def start(self, belief: WeightPosterior | None, x: Tensor, sigma: Tensor, coords: Tensor) -> tuple[Tensor, Tensor]:
        """linear(q) and spread(q), (b, p, c) and (1 or b, p, c). Without two-point statistics: what a white Gaussian
        would answer (Karras et al. 2022, table 1), x read between its points."""
        if belief is not None:
            mean, variance = self.linear.predict(belief, coords)
            return mean, variance.sqrt()
        total = sigma**2 + self.scale**2
        spread = sigma * self.scale / total.sqrt()
        return self.scale**2 / total * self.between(x, coords), spread.expand(len(spread), coords.shape[-2], self.c)

    def between(self, values: Tensor, coords: Tensor) -> Tensor:
        """Values (b, N, c) at the lattice, read linearly at coords (p, d) or (b, p, d): (b, p, c)."""
        return interpolate(values.mT.unflatten(-1, (self.side,) * self.d), coords)

    def condition(self, x: Tensor, sigma, seen: ObservationBatch) -> Heard:
        """Noisy x (b, N, c) at sigma, a number or (b,), and observations, of each function or one set for all of them."""
        s = torch.as_tensor(sigma, dtype=x.dtype, device=x.device).reshape(-1, 1, 1)
        belief, at = self.believe(x, s, seen), self.lattice[None]
        mean, spread = self.start(belief, x, s, self.lattice)
        surprise = (x - mean) / (s**2 + spread**2).sqrt()
        point = self._told(self.point, at, x / (s**2 + self.scale**2).sqrt(), mean / self.scale, surprise,
                           (spread / self.scale).log())
        mean, spread = self.start(belief, x, s, seen.coords)
        noise = (seen.noise_std.reshape(-1, 1, 1) ** 2 + (1e-3 * self.scale) ** 2).sqrt()
        dot = self._told(self.dot, seen.coords, seen.values / self.scale, mean / self.scale,
                         (seen.values - mean) / (noise**2 + spread**2).sqrt(), (spread / self.scale).log(),
                         (noise / self.scale).log())
        coords = torch.cat([at.expand(len(seen.coords), -1, -1), seen.coords], 1)
        mask = torch.cat([seen.mask.new_ones(len(seen.mask), len(self.lattice)), seen.mask], 1)
        tokens, given = torch.cat([point, dot], 1), self.level((s / self.scale).log().reshape(-1) / 4)
        for block in self.blocks:
            tokens = block.among(tokens, coords, mask, given)
        return Heard(x, s, belief, given, self.last.ask.prepare(tokens, coords, mask), surprise)

    def _told(self, input: nn.Linear, coords: Tensor, *features: Tensor) -> Tensor:
        """Places and features of points, each for all functions or for each, through one layer: (b, p, w)."""
        parts = [self.encode(coords), *features]
        b, p = max(len(f) for f in parts), coords.shape[-2]
        return input(torch.cat([f.expand(b, p, f.shape[-1]) for f in parts], -1))

    def answer(self, heard: Heard, coords: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """linear, spread and F, (b, p, c) each (spread (1 or b, p, c)), at coords (p, d) or (b, p, d)."""
        mean, spread = self.start(heard.belief, heard.x, heard.sigma, coords)
        at = coords if coords.ndim == 3 else coords[None]
        query = self._told(self.ask, at, mean / self.scale, self.between(heard.surprise, coords),
                           (spread / self.scale).log())
        return mean, spread, self.output(self.last(query, at, heard.memory, heard.given))

    def values(self, heard: Heard, coords: Tensor) -> Tensor:
        """D at coords (p, d) or (b, p, d): (b, p, c)."""
        mean, spread, found = self.answer(heard, coords)
        return mean + spread * found

    def denoise(self, x: Tensor, sigma, seen: ObservationBatch) -> Tensor:
        """D at the lattice itself: x (b, N, c) -> (b, N, c)."""
        return self.values(self.condition(x, sigma, seen), self.lattice)

    def loss(self, clean: Tensor, noise: Tensor, sigma: Tensor, seen: ObservationBatch, coords: Tensor,
             truth: Tensor) -> Tensor:
        """Mean |F − (truth − linear)/spread|² at free places coords (b, p, d), where the functions are truth (b, p, c),
        and at the lattice, where they are clean (b, N, c), seen as clean + sigma·noise."""
        heard = self.condition(clean + sigma[:, None, None] * noise, sigma, seen)
        coords = torch.cat([self.lattice.expand(len(coords), -1, -1), coords], 1)
        mean, spread, found = self.answer(heard, coords)
        return (found - (torch.cat([clean, truth], 1) - mean) / spread).square().mean()
