"""The pattern that looks at the field itself: points on and near its outline, where it crosses a level."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.checks import require, require_number, require_seed
from ..core.rng import stream
from ..core.types import Fields
from .scattered import Random
from .spacetime import fold

_TRIES, _ROUNDS, _HALVINGS = 4096, 400, 30


@dataclass(frozen=True)
class Outline(Random):
    """Points where the field's first channel crosses `level`, then moved by a normal jitter of `width` along each axis.

    `level` None is halfway between the lowest and the highest value. `share` sets the number of points only; they are
    not cell centres. The places themselves carry information about the field, which a posterior that takes them as
    given (the exact one too) does not use.
    """

    level: float | None = None
    width: float = 0.02

    def __post_init__(self):
        super().__post_init__()
        if self.level is not None:
            require_number(self.level, "level")
        require_number(self.width, "width", 0.0, 1.0, open_low=True)

    def coords(self, d: int, *, seed: int) -> Tensor:
        """Refused: without a field there is no outline."""
        require(False, must="Outline: the field whose outline it is.", came=f"d={d} and no field",
                why="Other patterns do not depend on the field; this one follows its shape.",
                do="nfdlab.observe(fields, pattern, seed=0), or pattern.places(fields, seed=0).")

    def places(self, fields: Fields, *, seed: int) -> Tensor:
        """Places (m, d) in [-1, 1]^d on and near the outline of one function, uniform along its length.

        Needles two cells of the base grid long are thrown at random; they cross the outline in proportion to its length
        (Buffon 1777). Bisection then finds where.
        """
        rng, d, m = stream(require_seed(seed), "Outline"), fields.d, self.size(fields.d)

        def values(places: Tensor) -> Tensor:
            return fields(places)[0, :, 0].cpu()

        first = values(2 * torch.rand(_TRIES, d, generator=rng) - 1)
        low, high = float(first.min()), float(first.max())
        level = (low + high) / 2 if self.level is None else self.level
        inner, outer = torch.empty(0, d), torch.empty(0, d)
        for _ in range(_ROUNDS if low <= level < high else 0):
            if len(inner) >= m:
                break
            one = 2 * torch.rand(_TRIES, d, generator=rng) - 1
            step = torch.nn.functional.normalize(torch.randn(_TRIES, d, generator=rng), dim=-1)
            other = fold(one + 4 / self.of * step)
            above, too = values(one) > level, values(other) > level
            inner = torch.cat([inner, one[above & ~too], other[too & ~above]])
            outer = torch.cat([outer, other[above & ~too], one[too & ~above]])
        require(len(inner) >= m, must=f"Outline: a field that crosses level={level:g}.",
                came=f"values from {low:g} to {high:g}, {len(inner)} crossings found",
                why="The outline lies where the field crosses the level.",
                do="Another level; level=None is halfway between the lowest and the highest value.")
        inner = bisected(inner[:m], outer[:m], lambda at: values(at) > level, _HALVINGS if m else 0)
        return fold(inner + self.width * torch.randn(m, d, generator=rng))


def bisected(inner: Tensor, outer: Tensor, above: Callable[[Tensor], Tensor], halvings: int) -> Tensor:
    """Bisection between places (…, d) above a level and places below it, by `above` (…, d) -> (…,)."""
    for _ in range(halvings):
        middle = (inner + outer) / 2
        inside = above(middle)[..., None]
        inner, outer = torch.where(inside, middle, inner), torch.where(inside, outer, middle)
    return inner
