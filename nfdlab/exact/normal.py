"""Gaussian vectors and their mixtures: condition on noisy linear measurements, draw, denoise. All in float64."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ..core.rng import normals, uniforms

LEAST_NOISE = 1e-5           # measurements without noise are conditioned on with this standard deviation


@dataclass(frozen=True, eq=False)
class Normal:
    """N(mean, root rootᵀ) over vectors: mean (k,), root (k, r).

    A root keeps every covariance positive by construction.
    """

    mean: Tensor
    root: Tensor

    @classmethod
    def standard(cls, k: int) -> "Normal":
        return cls(torch.zeros(k, dtype=torch.float64), torch.eye(k, dtype=torch.float64))

    @classmethod
    def of_covariance(cls, mean: Tensor, cov: Tensor) -> "Normal":
        """From a positive semi-definite covariance (k, k)."""
        values, vectors = torch.linalg.eigh(cov.double())
        return cls(mean.double(), vectors * values.clamp_min(0).sqrt())

    @cached_property
    def cov(self) -> Tensor:
        return self.root @ self.root.T

    @cached_property
    def std(self) -> Tensor:
        return self.root.square().sum(-1).sqrt()

    def image(self, A: Tensor, shift: Tensor | float = 0.0) -> "Normal":
        """The distribution of A x + shift: A (q, k)."""
        return Normal(A @ self.mean + shift, A @ self.root)

    def condition(self, A: Tensor, y: Tensor, noise_std: float) -> "Normal":
        """The posterior of x given y = A x + noise_std·ε: A (q, k), y (q,).

        With B = A root, the posterior is mean + root M⁻¹ Bᵀ(y − A mean)/s² and covariance root M⁻¹ rootᵀ, where
        M = I + BᵀB/s² (information form; Rasmussen & Williams 2006, eq. 2.11).
        """
        s = max(noise_std, LEAST_NOISE)
        B = A @ self.root / s
        L = torch.linalg.cholesky(torch.eye(B.shape[1], dtype=B.dtype) + B.T @ B)
        lean = torch.cholesky_solve((B.T @ (y - A @ self.mean) / s)[:, None], L)[:, 0]
        return Normal(self.mean + self.root @ lean, torch.linalg.solve_triangular(L, self.root.T, upper=False).T)

    def evidence(self, A: Tensor, y: Tensor, noise_std: float) -> Tensor:
        """log N(y; A mean, A cov Aᵀ + s² I), the weight of this component given what was seen."""
        s = max(noise_std, LEAST_NOISE)
        B, r = A @ self.root / s, (y - A @ self.mean) / s
        L = torch.linalg.cholesky(torch.eye(B.shape[1], dtype=B.dtype) + B.T @ B)
        w = torch.linalg.solve_triangular(L, (B.T @ r)[:, None], upper=False)[:, 0]
        q = len(y)
        constant = q * torch.log(torch.tensor(2 * torch.pi * s * s, dtype=torch.float64))
        return -0.5 * (r @ r - w @ w + constant) - L.diagonal().log().sum()

    def draw(self, n: int, *, seed: int) -> Tensor:
        """(n, k), each draw from its own stream."""
        return self.mean + normals(seed, n, (self.root.shape[1],), "normal", dtype=torch.float64) @ self.root.T

    @cached_property
    def _principal(self) -> tuple[Tensor, Tensor]:
        U, S, _ = torch.linalg.svd(self.root, full_matrices=False)
        return U, S.square()

    def denoiser(self) -> Callable[[Tensor, Tensor | float], Tensor]:
        """D(x, sigma) = E[x₀ | x₀ + sigma·ε = x] = mean + P(P + sigma²)⁻¹(x − mean), x (n, k) -> (n, k)."""
        U, lam = self._principal

        def D(x: Tensor, sigma) -> Tensor:
            s2 = torch.as_tensor(sigma, dtype=torch.float64).reshape(-1, 1) ** 2
            away = x.double() - self.mean
            return (self.mean + (away @ U * (lam / (lam + s2))) @ U.T).to(x.dtype)

        return D

    def log_prob_noisy(self, x: Tensor, sigma) -> Tensor:
        """log density of x₀ + sigma·ε at x (n, k), sigma a number."""
        U, lam = self._principal
        s2, away = float(sigma) ** 2, x.double() - self.mean
        inside = away @ U
        rest = away.square().sum(-1) - inside.square().sum(-1)
        var = lam + s2
        quad = (inside.square() / var).sum(-1) + rest / s2
        logdet = var.log().sum() + (x.shape[-1] - len(lam)) * torch.log(torch.tensor(s2, dtype=torch.float64))
        return -0.5 * (quad + logdet + x.shape[-1] * torch.log(torch.tensor(2 * torch.pi, dtype=torch.float64)))


@dataclass(frozen=True, eq=False)
class NormalMixture:
    """Σ_j exp(log_weights_j) N_j over vectors."""

    log_weights: Tensor
    parts: tuple[Normal, ...]

    @cached_property
    def mean(self) -> Tensor:
        return sum(w * p.mean for w, p in zip(self.log_weights.exp(), self.parts, strict=True))

    @cached_property
    def cov(self) -> Tensor:
        pairs = list(zip(self.log_weights.exp(), self.parts, strict=True))
        return sum(w * (p.cov + torch.outer(p.mean - self.mean, p.mean - self.mean)) for w, p in pairs)

    def condition(self, A: Tensor, y: Tensor, noise_std: float) -> "NormalMixture":
        logs = self.log_weights + torch.stack([p.evidence(A, y, noise_std) for p in self.parts])
        return NormalMixture(logs - logs.logsumexp(0), tuple(p.condition(A, y, noise_std) for p in self.parts))

    def draw(self, n: int, *, seed: int) -> Tensor:
        """(n, k): a part chosen by weight, then a draw of it."""
        which = choose(self.log_weights, n, seed=seed)
        all_draws = torch.stack([p.draw(n, seed=seed) for p in self.parts])
        return all_draws[which, torch.arange(n)]

    def denoiser(self) -> Callable[[Tensor, Tensor | float], Tensor]:
        """Σ_j r_j(x) D_j(x), r_j ∝ w_j N(x; mean_j, cov_j + sigma²)."""
        denoisers = [p.denoiser() for p in self.parts]

        def D(x: Tensor, sigma) -> Tensor:
            logs = torch.stack([p.log_prob_noisy(x, sigma) for p in self.parts]) + self.log_weights[:, None]
            r = logs.softmax(0)[..., None].to(x.dtype)
            return (r * torch.stack([d(x, sigma) for d in denoisers])).sum(0)

        return D


def choose(log_weights: Tensor, n: int, *, seed: int) -> Tensor:
    """n indices drawn with the given log weights, each from its own stream: (n,)."""
    u = uniforms(seed, n, (), "choose")
    steps = log_weights.double().softmax(0).cumsum(0)
    return torch.searchsorted(steps, u * steps[-1]).clamp_max(len(log_weights) - 1)
