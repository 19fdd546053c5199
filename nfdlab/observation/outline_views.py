"""Training views of shapes: some functions are seen along their outline, the others as by `TrainingViews`."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.rng import child, stream
from ..core.types import Fields, ObservationBatch
from .outline import bisected
from .spacetime import fold
from .training_views import TrainingViews

NEEDLES, LENGTH, HALVINGS = 384, 0.3, 7              # off by less than 0.003 after so many halvings


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
        count = (torch.rand(b, generator=rng) * (self.corners + 1)).long()
        away = torch.nn.functional.normalize(torch.randn(b, 1, d, generator=rng), dim=-1)
        cut = torch.where(torch.rand(b, generator=rng) < 0.5, 2 * torch.rand(b, generator=rng) - 1, -2.0)
        middle = (places * real[..., None]).sum(1, keepdim=True) / real.sum(1).clamp_min(1)[:, None, None]
        shown = ((places - middle) * away).sum(-1) > 0.6 * cut[:, None]              # a part: all on one side of a line
        real = real & (shown | (cut < -1)[:, None])
        real = real & (real.cumsum(1) <= count[:, None])
        seen = self.measured(fields, places, real, plain.noise_std, rng)
        outlined = (torch.rand(b, generator=rng) < self.outlined) & (real.any(1) | (count == 0))
        return _either(outlined, seen, plain)

    def crossings(self, fields: Fields, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Places (b, m, d) on the outlines and near them, in random order, and which of them are real (b, m)."""
        b, d = fields.n, fields.d

        def above(coords: Tensor) -> Tensor:
            return fields(coords)[..., 0] > self.level

        one = 2 * torch.rand(b, NEEDLES, d, generator=rng) - 1
        step = torch.nn.functional.normalize(torch.randn(b, NEEDLES, d, generator=rng), dim=-1)
        other = fold(one + LENGTH * step)
        high, low = above(one), above(other)
        crossed = high != low
        order = crossed.long().argsort(dim=1, descending=True, stable=True)[:, :self.corners, None].expand(-1, -1, d)
        inner = torch.where(high[..., None], one, other).gather(1, order)
        outer = torch.where(high[..., None], other, one).gather(1, order)
        inner = bisected(inner, outer, above, HALVINGS)
        return fold(inner + self.jitter * torch.randn(inner.shape, generator=rng)), crossed.gather(1, order[..., 0])


def _either(chosen: Tensor, one: ObservationBatch, other: ObservationBatch) -> ObservationBatch:
    """For each function the first view where `chosen` (b,), else the second, padded to one length."""
    m = max(one.mask.shape[1], other.mask.shape[1])

    def either(a: Tensor, b: Tensor) -> Tensor:
        a, b = (torch.cat([x, x.new_zeros(len(x), m - x.shape[1], *x.shape[2:])], 1) for x in (a, b))
        return torch.where(chosen.reshape(-1, *[1] * (a.ndim - 1)), a, b)

    return ObservationBatch(either(one.coords, other.coords), either(one.values, other.values),
                            either(one.mask, other.mask), one.noise_std)
