"""Training views: how data will be hidden at test time, for a batch of functions -> ObservationBatch."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.checks import require, require_count, require_number
from ..core.rng import stream
from ..core.types import Fields, ObservationBatch


@dataclass(frozen=True, kw_only=True)
class NoisyViews:
    """Noise of training views: a share `other_noise` of the noise levels is log-uniform on `noise_range`, the rest are
    `noise_std`."""

    noise_std: float = 0.05
    other_noise: float = 0.35
    noise_range: tuple[float, float] = (0.01, 0.5)

    def noise_levels(self, choice: Tensor, level: Tensor) -> Tensor:
        """Noise standard deviations (b,) from uniform numbers: `choice` (b,) which kind, `level` (b,) how high."""
        low, high = (torch.tensor(x).log() for x in self.noise_range)
        return torch.where(choice < self.other_noise, torch.exp(low + level * (high - low)), self.noise_std)

    @staticmethod
    def measured(fields: Fields, coords: Tensor, mask: Tensor, noise_std: Tensor,
                 rng: torch.Generator) -> ObservationBatch:
        """Noisy values of b functions at coords (b, m, d), zero where mask (b, m) is False."""
        coords = coords * mask[..., None]
        values = fields(coords)
        values = values + noise_std[:, None, None] * torch.randn(values.shape, generator=rng)
        return ObservationBatch(coords, values * mask[..., None], mask, noise_std)


@dataclass(frozen=True)
class TrainingViews(NoisyViews):
    """Fields (b functions) -> ObservationBatch: 0 to `most` points each, at random places and noise levels.

    Counts are uniform on [0, `usual`]; a share `tail` of the batches is log-uniform up to `most`. A share `uneven` of
    the functions is seen inside one random sub-box only, or outside of it. `grid`: places are cell centres, so many
    a side.
    """

    usual: int = 32
    most: int = 400
    tail: float = 0.03
    uneven: float = 0.35
    grid: int | None = None

    def __post_init__(self):
        require_count(self.usual, "usual"), require_count(self.most, "most")
        require(self.usual <= self.most, must="TrainingViews: usual <= most.", why="`most` is the longest view.",
                came=f"usual={self.usual}, most={self.most}", do=f"most={self.usual}, or more.")
        for name in ("tail", "uneven", "other_noise"):
            require_number(getattr(self, name), name, 0.0, 1.0)

    def __call__(self, fields: Fields, *, seed: int) -> ObservationBatch:
        """Each of the b functions at its own places, with its own count and noise level."""
        rng, b, d = stream(seed, "views"), fields.n, fields.d

        def uniform(*shape):
            return torch.rand(shape, generator=rng)

        if uniform(1).item() < self.tail:
            counts = torch.exp(uniform(b) * torch.log(torch.tensor(self.most / self.usual))) * self.usual
        else:
            counts = uniform(b) * (self.usual + 1)
        counts = counts.long().clamp_max(self.most)
        m = max(1, int(counts.max()))
        places = 2 * uniform(b, m, d) - 1
        places = torch.where((uniform(b) < self.uneven)[:, None, None], self._uneven(places, uniform), places)
        if self.grid is not None:
            places = (torch.floor((places + 1) / 2 * self.grid).clamp(0, self.grid - 1) + 0.5) / self.grid * 2 - 1
        noise_std = self.noise_levels(uniform(b), uniform(b))
        return self.measured(fields, places, torch.arange(m) < counts[:, None], noise_std, rng)

    @staticmethod
    def _uneven(places, uniform):
        """Map places into a random sub-box, or, for half the functions, out of it along one axis."""
        b, _, d = places.shape
        side = 0.1 + 0.9 * uniform(b, 1, d)                        # share of each axis that the sub-box covers
        low = (1 - side) * uniform(b, 1, d)
        at_a_wall, which = uniform(b, 1, d) < 0.5, uniform(b, 1, d) < 0.5
        low = torch.where(at_a_wall, torch.where(which, 0.0, 1 - side), low)
        unit = (places + 1) / 2
        inside = low + side * unit
        axis = torch.nn.functional.one_hot((uniform(b, 1) * d).long(), d).bool()
        gap = torch.minimum(side, torch.tensor(0.8))
        low = torch.minimum(low, 1 - gap)
        outside = unit * (1 - gap)
        outside = torch.where(axis, outside + torch.where(outside > low, gap, 0.0), unit)
        chosen = torch.where((uniform(b) < 0.5)[:, None, None], inside, outside)
        return (2 * chosen - 1).clamp(-1, 1)
