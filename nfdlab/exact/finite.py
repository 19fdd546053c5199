"""A finite set of vectors with weights: its exact denoiser is a softmax over the set."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .normal import choose


@dataclass(frozen=True, eq=False)
class Finite:
    """Vectors (h, k) with log_weights (h,). The denoiser of a data set, or of an enumerated family seen at k points."""

    vectors: Tensor
    log_weights: Tensor

    @classmethod
    def of(cls, vectors: Tensor) -> "Finite":
        """A data set, each row equally likely."""
        return cls(vectors, torch.zeros(len(vectors)))

    def draw(self, n: int, *, seed: int) -> Tensor:
        """(n, k), rows chosen by weight."""
        return self.vectors[choose(self.log_weights, n, seed=seed)]

    def denoiser(self, chunk: int = 256) -> Callable[[Tensor, Tensor | float], Tensor]:
        """D(x, sigma) = Σ_h r_h v_h, r_h ∝ w_h exp(−‖x − v_h‖²/2 sigma²); x (n, k), chunked over n."""
        squares = self.vectors.square().sum(-1)

        def D(x: Tensor, sigma) -> Tensor:
            s2 = torch.as_tensor(sigma, dtype=x.dtype).reshape(-1, 1) ** 2
            out = []
            for i in range(0, len(x), chunk):
                part = x[i:i + chunk]
                s = s2[i:i + chunk] if len(s2) > 1 else s2
                logs = (part @ self.vectors.T - 0.5 * squares) / s + self.log_weights
                out.append(logs.softmax(-1) @ self.vectors)
            return torch.cat(out)

        return D
