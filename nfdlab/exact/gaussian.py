"""Gaussian fields in weight space: f(x) = Φ(x) w with Gaussian weights w. The posterior is exact."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..core.fields import CHUNK, EvaluatedFields
from ..core.types import Seen
from .normal import Conditional, Normal


@dataclass(frozen=True, eq=False)
class Gaussian(Conditional):
    """A Gaussian field with one channel: basis(coords (…, p, d)) -> (…, p, k), weights a Normal over (k,)."""

    basis: Callable[[Tensor], Tensor]
    d: int
    weights: Normal = field(repr=False)
    c: int = 1

    def draw(self, n: int, *, seed: int) -> EvaluatedFields:
        """n functions, draw i from its own stream."""
        w = self.weights.draw(n, seed=seed)

        def rule(coords: Tensor, part: slice | Tensor) -> Tensor:
            w_part = w[part].to(coords)
            # shared coords: one matrix product for all draws; own coords: one for each
            product = "pk,nk->np" if coords.ndim == 2 else "npk,nk->np"
            return torch.einsum(product, self.basis(coords), w_part)[..., None]

        return EvaluatedFields(rule, n, self.d, width=w.shape[1])

    def update(self, seen: Seen) -> tuple["Gaussian", Tensor]:
        """Posterior given `seen`, solved in float64, and the log marginal likelihood."""
        A = seen.measure(self.basis(seen.points.double().cpu()))
        y = seen.values[:, 0].double().cpu()
        weights, log_marginal = self.weights.update(A, y, seen.noise_std)
        return Gaussian(self.basis, self.d, weights), log_marginal

    def at(self, coords: Tensor) -> Normal:
        """The distribution of the values at coords (p, d)."""
        return self.weights.image(self.basis(coords.double().cpu()))

    def moments(self, coords: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation at coords: (p, 1), (p, 1)."""
        mean, std = [], []
        for piece in coords.double().cpu().split(max(1, CHUNK // (4 * len(self.weights.mean)))):
            A = self.basis(piece)
            mean.append(A @ self.weights.mean), std.append(self.weights.rows(A).square().sum(-1).sqrt())
        return torch.cat(mean)[:, None].to(coords), torch.cat(std)[:, None].to(coords)
