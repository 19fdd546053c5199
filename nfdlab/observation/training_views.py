"""Training views: how data will be hidden at test time, for a batch of functions -> ObservationBatch."""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from ..core import single
from ..core.checks import require, require_count, require_number
from ..core.grid import cell_centres
from ..core.rng import child, stream
from ..core.types import Fields, ObservationBatch
from .patterns import bisected, fold, needles

NEEDLES, LENGTH, HALVINGS = 384, 0.3, 7              # crossings are off by less than 0.003 after so many halvings


@dataclass(frozen=True, kw_only=True)
class NoisyViews:
    """Base of training views, with their noise: a share `other_noise` of the noise levels is log-uniform on
    `noise_range`, the rest are `noise_std`. Other numbers count something or are shares, but for `level`."""

    noise_std: float = 0.05
    other_noise: float = 0.35
    noise_range: tuple[float, float] = (0.01, 0.5)

    def __post_init__(self):
        for field in fields(self):
            if field.type is int:
                require_count(getattr(self, field.name), field.name)
            elif field.type is float and field.name not in ("level", "noise_std"):
                require_number(getattr(self, field.name), field.name, 0.0, 1.0)

    def noise_levels(self, choice: Tensor, level: Tensor) -> Tensor:
        """Noise standard deviations (b,) from uniform numbers: `choice` (b,) which kind, `level` (b,) how high."""
        low, high = (single.tensor(x).log() for x in self.noise_range)
        return torch.where(choice < self.other_noise, torch.exp(low + level * (high - low)), self.noise_std)

    @staticmethod
    def measured(fields: Fields, coords: Tensor, mask: Tensor, noise_std: Tensor,
                 rng: torch.Generator) -> ObservationBatch:
        """Noisy values of b functions at coords (b, m, d), zero where mask (b, m) is False."""
        coords = coords * mask[..., None]
        values = fields(coords)
        values = values + noise_std[:, None, None] * single.randn(values.shape, generator=rng)
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
        super().__post_init__()
        require(self.usual <= self.most, must="TrainingViews: usual <= most.", why="`most` is the longest view.",
                came=f"usual={self.usual}, most={self.most}", do=f"most={self.usual}, or more.")

    def __call__(self, fields: Fields, *, seed: int) -> ObservationBatch:
        """Each of the b functions at its own places, with its own count and noise level."""
        rng, b, d = stream(seed, "views"), fields.n, fields.d

        def uniform(*shape):
            return single.rand(shape, generator=rng)

        if uniform(1).item() < self.tail:
            counts = torch.exp(uniform(b) * torch.log(single.tensor(self.most / self.usual))) * self.usual
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
        gap = torch.minimum(side, single.tensor(0.8))
        low = torch.minimum(low, 1 - gap)
        outside = unit * (1 - gap)
        outside = torch.where(axis, outside + torch.where(outside > low, gap, 0.0), unit)
        chosen = torch.where((uniform(b) < 0.5)[:, None, None], inside, outside)
        return (2 * chosen - 1).clamp(-1, 1)


@dataclass(frozen=True)
class FrameViews(NoisyViews):
    """Fields (b functions of (t, *space)) -> ObservationBatch, each function seen in one of three ways.

    A share `whole` shows some of `frames` frames, `cells` cells a side: each kept with a probability uniform on
    [0, `most`], or, for half of them, every g-th, g = 2 … 8. A share `fixed` shows one to `sensors` places in all
    frames. The rest shows up to `usual` points anywhere. Of all, a share `cut` is hidden after some moment and a share
    `nothing` is hidden entirely.

    Voleti et al. 2022 (MCVD) hide past and future at random too, so that one network learns all tasks.
    """

    frames: int = 16
    cells: int = 16
    whole: float = 0.6
    most: float = 0.6
    fixed: float = 0.15
    sensors: int = 6
    usual: int = 120
    cut: float = 0.25
    nothing: float = 0.1

    def __call__(self, fields: Fields, *, seed: int) -> ObservationBatch:
        """Each of the b functions at its own places, with its own count and noise level."""
        rng, b, d = stream(seed, "filming"), fields.n, fields.d

        def uniform(*shape: int) -> Tensor:
            return single.rand(shape, generator=rng)

        kind = uniform(b)
        parts = [(kind < self.whole, *self._frames(b, d, uniform)),
                 ((kind >= self.whole) & (kind < self.whole + self.fixed), *self._sensors(b, d, uniform)),
                 (kind >= self.whole + self.fixed, *self._scattered(b, d, uniform))]
        until = torch.where(uniform(b) < self.cut, 2 * uniform(b) - 1, 2.0)
        until = torch.where(uniform(b) < self.nothing, -2.0, until)
        m = max(1, *(int(real[mine].sum(1).max()) if mine.any() else 1 for mine, _, real in parts))
        coords, mask = single.zeros(b, m, d), torch.zeros(b, m, dtype=torch.bool)
        for mine, places, real in parts:
            k = min(m, places.shape[1])                              # the real ones come first
            coords[mine, :k], mask[mine, :k] = places[mine, :k], real[mine, :k]
        mask = mask & (coords[..., 0] < until[:, None])
        level, choice = uniform(b), uniform(b)
        return self.measured(fields, coords, mask, self.noise_levels(choice, level), rng)

    def _frames(self, b: int, d: int, uniform) -> tuple[Tensor, Tensor]:
        """Places (b, frames·cells^(d−1), d), kept frames first, and which are real."""
        at = torch.arange(self.frames)
        kept = uniform(b, self.frames) < self.most * uniform(b, 1)
        every = 2 + (7 * uniform(b, 1)).long()
        kept = torch.where(uniform(b, 1) < 0.5, at % every == 0, kept)
        order = kept.long().argsort(dim=1, descending=True, stable=True)
        times = cell_centres((self.frames,))[order]                                          # (b, frames, 1)
        space = cell_centres((self.cells,) * (d - 1)) if d > 1 else single.empty(1, 0)
        size = len(space)
        coords = torch.cat([times[:, :, None].expand(-1, -1, size, -1), space.expand(b, self.frames, -1, -1)], -1)
        return coords.flatten(1, 2), kept.gather(1, order)[..., None].expand(-1, -1, size).flatten(1)

    def _sensors(self, b: int, d: int, uniform) -> tuple[Tensor, Tensor]:
        """Places (b, sensors·frames, d), one sensor after the other, and which are real."""
        many = 1 + (self.sensors * uniform(b)).long()
        places = 2 * uniform(b, self.sensors, 1, d - 1) - 1
        times = cell_centres((self.frames,)).expand(b, self.sensors, -1, -1)
        coords = torch.cat([times, places.expand(-1, -1, self.frames, -1)], -1).flatten(1, 2)
        return coords, torch.arange(self.sensors * self.frames) < many[:, None] * self.frames

    def _scattered(self, b: int, d: int, uniform) -> tuple[Tensor, Tensor]:
        """Places (b, usual, d) and which are real."""
        many = (uniform(b) * (self.usual + 1)).long()
        return 2 * uniform(b, self.usual, d) - 1, torch.arange(self.usual) < many[:, None]


@dataclass(frozen=True)
class OutlineViews(TrainingViews):
    """As `TrainingViews`, but a share `outlined` of the functions is seen where it crosses `level`.

    Up to `corners` points each, moved by a normal jitter of `jitter`; half of these functions show only a part of the
    outline. Crossings are found as by the pattern Outline, for all functions at once.
    """

    outlined: float = 0.6
    corners: int = 48
    level: float = 0.0
    jitter: float = 0.02

    def __call__(self, fields: Fields, *, seed: int) -> ObservationBatch:
        """Each of the b functions at its own places, with its own count and noise level."""
        plain = super().__call__(fields, seed=child(seed, "plain"))
        rng, b, d = stream(seed, "outlined"), fields.n, fields.d
        places, real = self.crossings(fields, rng)
        count = (single.rand(b, generator=rng) * (self.corners + 1)).long()
        away = torch.nn.functional.normalize(single.randn(b, 1, d, generator=rng), dim=-1)
        cut = torch.where(single.rand(b, generator=rng) < 0.5, 2 * single.rand(b, generator=rng) - 1, -2.0)
        middle = (places * real[..., None]).sum(1, keepdim=True) / real.sum(1).clamp_min(1)[:, None, None]
        shown = ((places - middle) * away).sum(-1) > 0.6 * cut[:, None]              # a part: all on one side of a line
        real = real & (shown | (cut < -1)[:, None])
        real = real & (real.cumsum(1) <= count[:, None])
        seen = self.measured(fields, places, real, plain.noise_std, rng)
        outlined = (single.rand(b, generator=rng) < self.outlined) & (real.any(1) | (count == 0))
        return _either(outlined, seen, plain)

    def crossings(self, fields: Fields, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Places (b, m, d) on the outlines and near them, in random order, and which of them are real (b, m)."""
        b, d = fields.n, fields.d

        def above(coords: Tensor) -> Tensor:
            return fields(coords)[..., 0] > self.level

        one, other = needles((b, NEEDLES, d), LENGTH, rng)
        high, low = above(one), above(other)
        crossed = high != low
        order = crossed.long().argsort(dim=1, descending=True, stable=True)[:, :self.corners, None].expand(-1, -1, d)
        inner = torch.where(high[..., None], one, other).gather(1, order)
        outer = torch.where(high[..., None], other, one).gather(1, order)
        inner = bisected(inner, outer, above, HALVINGS)
        return fold(inner + self.jitter * single.randn(inner.shape, generator=rng)), crossed.gather(1, order[..., 0])


def _either(chosen: Tensor, one: ObservationBatch, other: ObservationBatch) -> ObservationBatch:
    """For each function the first view where `chosen` (b,), else the second, padded to one length."""
    m = max(one.mask.shape[1], other.mask.shape[1])

    def either(a: Tensor, b: Tensor) -> Tensor:
        a, b = (torch.cat([x, x.new_zeros(len(x), m - x.shape[1], *x.shape[2:])], 1) for x in (a, b))
        return torch.where(chosen.reshape(-1, *[1] * (a.ndim - 1)), a, b)

    return ObservationBatch(either(one.coords, other.coords), either(one.values, other.values),
                            either(one.mask, other.mask), one.noise_std)
