"""A finite set of vectors with weights: its exact denoiser is a softmax over the set."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.fields import CHUNK
from ..core.rng import choose


@dataclass(frozen=True, eq=False)
class Finite:
    """Vectors (h, k) with log_weights (h,): a data set, or an enumerated family evaluated at k points."""

    vectors: Tensor
    log_weights: Tensor

    @classmethod
    def union(cls, log_weights: Tensor, sets: tuple["Finite", ...]) -> "Finite":
        """Mixture of several sets with weights (j,)."""
        logs = [w.to(s.log_weights) + s.log_weights.log_softmax(0) for w, s in zip(log_weights, sets, strict=True)]
        return cls(torch.cat([s.vectors for s in sets]), torch.cat(logs))

    @property
    def mean(self) -> Tensor:
        """(k,)."""
        return self.log_weights.softmax(0).to(self.vectors) @ self.vectors

    def draw(self, n: int, *, seed: int) -> Tensor:
        """(n, k), rows chosen by weight."""
        return self.vectors[choose(self.log_weights, n, seed=seed)]

    def denoiser(self) -> Callable[[Tensor, Tensor | float], Tensor]:
        """D(x, sigma) = Σ_h r_h v_h, r_h ∝ w_h exp(−‖x − v_h‖²/2 sigma²); x (n, k), a few rows at a time."""
        squares = self.vectors.square().sum(-1)
        chunk = max(1, CHUNK // len(self.vectors))

        def D(x: Tensor, sigma) -> Tensor:
            s2 = torch.as_tensor(sigma, dtype=x.dtype).reshape(-1, 1) ** 2
            vectors, out = self.vectors.to(x), []
            for i in range(0, len(x), chunk):
                part = x[i:i + chunk]
                s = s2[i:i + chunk] if len(s2) > 1 else s2
                logs = (part @ vectors.T - 0.5 * squares.to(x)) / s + self.log_weights.to(x)
                out.append(logs.softmax(-1) @ vectors)
            return torch.cat(out)

        return D
