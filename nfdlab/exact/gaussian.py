"""Gaussian fields as a basis with Gaussian weights: f(x) = Φ(x) w. A draw is a function, the posterior is exact."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..core.fields import Evaluated
from ..core.types import Observations
from .normal import Normal


@dataclass(frozen=True, eq=False)
class Gaussian:
    """A Gaussian field with one channel: basis(coords (…, p, d)) -> (…, p, k), weights a Normal over (k,)."""

    basis: Callable[[Tensor], Tensor]
    d: int
    weights: Normal = field(repr=False)

    def draw(self, n: int, *, seed: int) -> Evaluated:
        """n functions, draw i from its own stream."""
        w = self.weights.draw(n, seed=seed)

        def rule(coords: Tensor, part: slice) -> Tensor:
            w_part = w[part].to(coords)
            # shared coords: one matrix product for all draws; own coords: one for each
            product = "pk,nk->np" if coords.ndim == 2 else "npk,nk->np"
            return torch.einsum(product, self.basis(coords), w_part)[..., None]

        return Evaluated(rule, n, self.d)

    def posterior(self, seen: Observations) -> "Gaussian":
        """The same field given what was seen; solved in float64."""
        A = self.basis(seen.coords.double().cpu())
        y = seen.values[:, 0].double().cpu()
        return Gaussian(self.basis, self.d, self.weights.condition(A, y, seen.noise_std))

    def log_evidence(self, seen: Observations) -> Tensor:
        """log density of what was seen, this field being the truth."""
        A = self.basis(seen.coords.double().cpu())
        return self.weights.evidence(A, seen.values[:, 0].double().cpu(), seen.noise_std)

    def at(self, coords: Tensor) -> Normal:
        """The distribution of the values at coords (p, d)."""
        return self.weights.image(self.basis(coords.double().cpu()))

    def moments(self, coords: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation at coords: (p, 1), (p, 1)."""
        here = self.at(coords)
        return here.mean[:, None].to(coords), here.std[:, None].to(coords)
