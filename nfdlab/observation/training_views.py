"""How data will be hidden at test time, for a whole batch of functions: what amortised training practises on."""

from dataclasses import dataclass

import torch

from ..core.checks import require, require_count, require_number
from ..core.rng import stream
from ..core.types import Fields, ObservationBatch


@dataclass(frozen=True)
class Views:
    """Views of b functions: any number of points from 0 to `most`, anywhere, at many noise levels.

    Counts are even on [0, `usual`], with `tail` of the batches log-even up to `most`. Of the functions, `uneven` are
    seen unevenly: inside one random sub-box (half a domain, a corner) or outside it (a missing block). Of the noise
    levels, `other_noise` are log-even on `noise_range`, the rest `noise_std`.
    """

    usual: int = 32
    most: int = 400
    tail: float = 0.03
    uneven: float = 0.35
    noise_std: float = 0.05
    other_noise: float = 0.35
    noise_range: tuple[float, float] = (0.01, 0.5)
    grid: int | None = None          # places are cell centres of this many cells a side; None: anywhere

    def __post_init__(self):
        require_count(self.usual, "usual"), require_count(self.most, "most")
        require(self.usual <= self.most, must="Views: usual <= most.", came=f"usual={self.usual}, most={self.most}",
                why="`most` is the longest view.", do=f"Views(usual={self.usual}, most={self.usual}).")
        for name in ("tail", "uneven", "other_noise"):
            require_number(getattr(self, name), name, 0.0, 1.0)

    def __call__(self, fields: Fields, *, seed: int) -> ObservationBatch:
        """One view of each of the b functions: their own places, counts and noise levels."""
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
        low, high = (torch.tensor(x).log() for x in self.noise_range)
        other, level = uniform(b) < self.other_noise, torch.exp(low + uniform(b) * (high - low))
        noise_std = torch.where(other, level, self.noise_std)
        values = fields(places)
        values = values + noise_std[:, None, None] * torch.randn(values.shape, generator=rng)
        mask = torch.arange(m) < counts[:, None]
        return ObservationBatch(places * mask[..., None], values * mask[..., None], mask, noise_std)

    @staticmethod
    def _uneven(places, uniform):
        """Squeeze places into a random sub-box, or, for half the functions, push them out of it along one axis."""
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
