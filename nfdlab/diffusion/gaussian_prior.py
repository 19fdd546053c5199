"""The covariance of clean x as eigenvalues and directions: what a Gaussian would know of it."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..core.rng import normals

DenoiseFn = Callable[[Tensor, Tensor], Tensor]        # D(x, sigma) -> the mean of the clean x


def like(sigma, x: Tensor) -> Tensor:
    """sigma, a number or (b,), shaped to multiply x (b, …)."""
    sigma = torch.as_tensor(sigma, dtype=x.dtype, device=x.device)
    return sigma.reshape(-1, *[1] * (x.ndim - 1)) if sigma.ndim else sigma


class GaussianPrior(nn.Module):
    """N(mean, Q diag(lam) Qᵀ) of x laid flat, k entries: measured from draws, kept with the weights.

    It stands in for what a denoiser leaves open, C = Q diag(lam σ²/(lam + σ²)) Qᵀ, exact for a Gaussian and the best
    guess that does not depend on x for anything else; and it is a rival: draws of a Gaussian.
    """

    def __init__(self, k: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(k))
        self.register_buffer("lam", torch.ones(k))
        self.register_buffer("Q", torch.eye(k))

    @torch.no_grad()
    def calibrate(self, draws: Tensor) -> None:
        """From draws (b, …) of clean x."""
        flat = draws.flatten(1).double()
        self.mean.copy_(flat.mean(0))
        lam, Q = torch.linalg.eigh(flat.T.cov())
        self.lam.copy_(lam.clamp_min(0)), self.Q.copy_(Q)

    def left(self, rows: Tensor, sigma: Tensor) -> Tensor:
        """rows (m, n or 1, …) times C, for sigma () or (n,): (m, n or 1, …). At sigma = ∞ C is the prior's."""
        s = torch.as_tensor(sigma, dtype=rows.dtype, device=rows.device).reshape(-1, 1)
        open_ = self.lam.to(rows) / (1 + self.lam.to(rows) / s**2)                        # (n or 1, k)
        Q = self.Q.to(rows)
        spread = (rows.flatten(2) @ Q * open_) @ Q.T
        return spread.reshape(*spread.shape[:2], *rows.shape[2:])

    def denoiser(self) -> DenoiseFn:
        """The exact denoiser of the Gaussian."""
        def D(x: Tensor, sigma) -> Tensor:
            mean, Q, lam = self.mean.to(x), self.Q.to(x), self.lam.to(x)
            s = like(sigma, x.flatten(1))
            away = (x.flatten(1) - mean) @ Q
            return (mean + (away * lam / (lam + s**2)) @ Q.T).reshape(x.shape)

        return D

    def draw(self, n: int, *, seed: int) -> Tensor:
        """n draws of the Gaussian, each from its own stream: (n, k)."""
        z = normals(seed, n, self.lam.shape, "spectrum").to(self.lam)
        return self.mean + z * self.lam.sqrt() @ self.Q.T
