"""Mixtures of distributions of functions, conditioned exactly."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.fields import EvaluatedFields
from ..core.rng import child, choose
from ..core.types import Seen
from .finite import Finite
from .normal import Conditional, NormalMixture


@dataclass(frozen=True, eq=False)
class Mixture(Conditional):
    """Σ_j exp(log_weights_j) · part j: all of the parts Gaussian, or all Enumerated."""

    log_weights: Tensor
    parts: tuple

    @property
    def d(self) -> int:
        return self.parts[0].d

    @property
    def c(self) -> int:
        return self.parts[0].c

    @classmethod
    def equal(cls, *parts) -> "Mixture":
        return cls(torch.full((len(parts),), -math.log(len(parts)), dtype=torch.float64), parts)

    def draw(self, n: int, *, seed: int) -> EvaluatedFields:
        """n functions: a component by weight, then a draw of it."""
        which = choose(self.log_weights, n, seed=seed)
        draws = [p.draw(n, seed=child(seed, "kind", j)) for j, p in enumerate(self.parts)]

        def rule(coords: Tensor, part: slice | Tensor) -> Tensor:
            asked = torch.arange(n)[part]
            out = coords.new_empty(len(asked), coords.shape[-2], self.c)
            for j, component in enumerate(draws):
                mine = (which[asked] == j).nonzero()[:, 0]
                if len(mine):
                    out[mine] = component.rule(coords if coords.ndim == 2 else coords[mine], asked[mine])
            return out

        return EvaluatedFields(rule, n, self.d, self.c, max(component.width for component in draws))

    def update(self, seen: Seen) -> tuple["Mixture", Tensor]:
        """Posterior given `seen` (each component conditioned and reweighted), and the log marginal likelihood."""
        parts, logs = zip(*(p.update(seen) for p in self.parts), strict=True)
        logs = self.log_weights + torch.stack(logs)
        return Mixture(logs - logs.logsumexp(0), parts), logs.logsumexp(0)

    def at(self, coords: Tensor) -> NormalMixture | Finite:
        """Joint distribution of the values at coords (p, d)."""
        here = tuple(p.at(coords) for p in self.parts)
        return Finite.union(self.log_weights, here) if isinstance(here[0], Finite) else NormalMixture(
            self.log_weights, here)

    def moments(self, coords: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation at coords: (p, c), (p, c)."""
        mean, square = 0, 0
        for w, part in zip(self.log_weights.exp().to(coords), self.parts, strict=True):
            if w > 1e-9:
                m, s = part.moments(coords)
                mean, square = mean + w * m, square + w * (s.square() + m.square())
        return mean, (square - mean.square()).clamp_min(0).sqrt()
