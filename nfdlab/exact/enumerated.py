"""Families with a few parameters: enumerate them all, weigh each by how well it explains what was seen.

The parameter box is cut into cells; a cell's weight is the likelihood at its centre; a draw picks a cell by weight and
a place in it uniformly. Cells that matter are cut again while they are few, so the cell stays small against the
posterior's width however many points are seen.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ..core.fields import Evaluated
from ..core.rng import uniforms
from ..core.types import Observations
from .finite import Finite
from .normal import choose

CHUNK = 4_000_000            # values computed at a time: 16 MB in float32
CELLS = 200_000              # as many cells as are ever kept
LEAST_NOISE = 1e-3           # below this the cells are wider than the likelihood


@dataclass(frozen=True, eq=False)
class Enumerated:
    """Functions family(params (h, q), coords (p, d) or (h, p, d)) -> (h, p, c) with parameters uniform in unit cells.

    `family` takes parameters in [0, 1)^q (it scales them itself). `centres` (h, q) and `widths` (q,) are the cells.
    """

    family: Callable[[Tensor, Tensor], Tensor]
    d: int
    c: int
    centres: Tensor = field(repr=False)
    widths: Tensor = field(repr=False)
    log_weights: Tensor = field(repr=False)

    @classmethod
    def uniform(cls, family, d: int, c: int, shape: tuple[int, ...]) -> "Enumerated":
        """All cells of a grid over the unit box, equally likely."""
        axes = [(torch.arange(s) + 0.5) / s for s in shape]
        centres = torch.stack([g.flatten() for g in torch.meshgrid(*axes, indexing="ij")], -1)
        return cls(family, d, c, centres, 1 / torch.tensor(shape), torch.zeros(len(centres)))

    def draw(self, n: int, *, seed: int) -> Evaluated:
        """n functions: a cell chosen by weight, then a place in it."""
        which = choose(self.log_weights, n, seed=seed)
        jitter = uniforms(seed, n, (len(self.widths),), "cell", dtype=torch.float32) - 0.5
        params = self.centres[which] + jitter * self.widths
        family = self.family
        return Evaluated(lambda coords, part: family(params[part].to(coords), coords), n, self.d, self.c)

    def _weigh(self, seen: Observations, noise_std: float) -> "Enumerated":
        coords, values = seen.coords.float().cpu(), seen.values.float().cpu()
        step = max(1, CHUNK // max(1, seen.m * self.c))
        misfit = torch.cat([(self.family(part, coords) - values).square().sum((1, 2))
                            for part in self.centres.split(step)])
        return replace(self, log_weights=self.log_weights - misfit.double() / (2 * noise_std**2))

    def _refine(self, keep: float = 1e-7) -> "Enumerated | None":
        """Cut each cell that still matters in 2^q, all weights equal again; None when they would be too many."""
        w = self.log_weights.softmax(0)
        kept = (w > keep * w.max()).nonzero()[:, 0]
        q = len(self.widths)
        if len(kept) * 2**q > CELLS:
            return None
        corners = torch.cartesian_prod(*[torch.tensor([-0.25, 0.25])] * q).reshape(-1, q)
        centres = (self.centres[kept, None] + corners * self.widths).reshape(-1, q)
        return replace(self, centres=centres, widths=self.widths / 2, log_weights=torch.zeros(len(centres)))

    def posterior(self, seen: Observations) -> "Enumerated":
        """Cut the cells that matter again and again while they are few (four times at most), then weigh.

        The coarse passes inflate the noise, so that a cell whose centre misfits but whose inside may fit is kept
        (a jump between centre and edge misfits by the whole jump). The prior is uniform, so only kept cells count.
        """
        noise_std = max(seen.noise_std, LEAST_NOISE)
        now = self
        for inflate in (5.0, 4.0, 3.0, 2.0):
            finer = now._weigh(seen, inflate * noise_std)._refine()
            if finer is None:
                break
            now = finer
        return now._weigh(seen, noise_std)

    def at(self, coords: Tensor) -> Finite:
        """Values at coords (p, d) of every cell's centre, flattened: the vectors (h, p·c) of a finite set."""
        return Finite(self.family(self.centres.to(coords), coords).flatten(1), self.log_weights.to(coords))

    def moments(self, coords: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation at coords: (p, c), (p, c); cells of no weight are left out."""
        w = self.log_weights.softmax(0)
        kept = (w > 1e-9 * w.max()).nonzero()[:, 0]
        w = (w[kept] / w[kept].sum()).to(coords)
        step = max(1, CHUNK // max(1, len(coords) * self.c))
        mean, square = 0, 0
        for i in range(0, len(kept), step):
            values = self.family(self.centres[kept[i:i + step]].to(coords), coords)
            weigh = w[i:i + step, None, None]
            mean, square = mean + (weigh * values).sum(0), square + (weigh * values.square()).sum(0)
        return mean, (square - mean.square()).clamp_min(0).sqrt()
