"""Mixtures of Gaussian fields: one of several kinds of function, nobody says which."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.fields import Evaluated
from ..core.types import Observations
from .gaussian import Gaussian
from .normal import NormalMixture, choose


@dataclass(frozen=True, eq=False)
class Mixture:
    """Σ_j exp(log_weights_j) · Gaussian field j."""

    log_weights: Tensor
    parts: tuple[Gaussian, ...]

    @property
    def d(self) -> int:
        return self.parts[0].d

    @classmethod
    def equal(cls, *parts: Gaussian) -> "Mixture":
        return cls(torch.full((len(parts),), -float(torch.tensor(len(parts)).log()), dtype=torch.float64), parts)

    def draw(self, n: int, *, seed: int) -> Evaluated:
        """n functions: a kind chosen by weight, then a draw of it."""
        which = choose(self.log_weights, n, seed=seed)
        fields = [p.draw(n, seed=seed) for p in self.parts]

        def rule(coords: Tensor, part: slice) -> Tensor:
            chosen = which[part]
            values = torch.stack([f.rule(coords, part) for f in fields])
            return values[chosen, torch.arange(len(chosen))]

        return Evaluated(rule, n, self.parts[0].d)

    def posterior(self, seen: Observations) -> "Mixture":
        """Each kind given what was seen, weighed by how well it explains it."""
        logs = self.log_weights + torch.stack([p.log_evidence(seen) for p in self.parts])
        return Mixture(logs - logs.logsumexp(0), tuple(p.posterior(seen) for p in self.parts))

    def at(self, coords: Tensor) -> NormalMixture:
        return NormalMixture(self.log_weights, tuple(p.at(coords) for p in self.parts))

    def moments(self, coords: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation at coords: (p, 1), (p, 1)."""
        here = self.at(coords)
        return here.mean[:, None].to(coords), here.cov.diagonal().sqrt()[:, None].to(coords)
