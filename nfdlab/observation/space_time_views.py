"""Training views of films: whole frames with others missing, fixed sensors, scattered points, the past alone."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.checks import require_count, require_number
from ..core.grid import cell_centres
from ..core.rng import stream
from ..core.types import Fields, ObservationBatch
from .training_views import NoisyViews


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

    def __post_init__(self):
        for name in ("frames", "cells", "sensors", "usual"):
            require_count(getattr(self, name), name)
        for name in ("whole", "most", "fixed", "cut", "nothing", "other_noise"):
            require_number(getattr(self, name), name, 0.0, 1.0)

    def __call__(self, fields: Fields, *, seed: int) -> ObservationBatch:
        """Each of the b functions at its own places, with its own count and noise level."""
        rng, b, d = stream(seed, "filming"), fields.n, fields.d

        def uniform(*shape: int) -> Tensor:
            return torch.rand(shape, generator=rng)

        kind = uniform(b)
        parts = [(kind < self.whole, *self._frames(b, d, uniform)),
                 ((kind >= self.whole) & (kind < self.whole + self.fixed), *self._sensors(b, d, uniform)),
                 (kind >= self.whole + self.fixed, *self._scattered(b, d, uniform))]
        until = torch.where(uniform(b) < self.cut, 2 * uniform(b) - 1, 2.0)
        until = torch.where(uniform(b) < self.nothing, -2.0, until)
        m = max(1, *(int(real[mine].sum(1).max()) if mine.any() else 1 for mine, _, real in parts))
        coords, mask = torch.zeros(b, m, d), torch.zeros(b, m, dtype=torch.bool)
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
        space = cell_centres((self.cells,) * (d - 1)) if d > 1 else torch.empty(1, 0)
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
