"""Gaussian vectors and their mixtures: condition on noisy linear measurements, draw, denoise. All in float64."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import torch
from torch import Tensor

from ..core.rng import choose, normals
from ..core.types import Seen

LEAST_NOISE = 1e-5           # measurements without noise are conditioned on with this standard deviation


class Conditional:
    """Base of distributions of functions with `update(seen)` -> (posterior, log marginal likelihood of `seen`)."""

    def posterior(self, seen: Seen) -> Self:
        """The posterior of `update`; of a mixture `log_weights.exp()` are the probabilities of its components."""
        return self.update(seen)[0]


@dataclass(frozen=True, eq=False)
class Normal:
    """N(mean, R Rᵀ) over vectors: mean (k,), R = root · Π (I + V diag(gain) Vᵀ) with a factor for each conditioning.

    root is (k, r), or None for the identity; each V is (r, q) with orthonormal columns, gain (q,). Conditioning costs a
    few columns, however many weights there are, and every covariance is positive by construction.
    """

    mean: Tensor
    root: Tensor | None
    seen: tuple[tuple[Tensor, Tensor], ...] = ()

    @classmethod
    def standard(cls, k: int) -> "Normal":
        return cls(torch.zeros(k, dtype=torch.float64), None)

    @property
    def rank(self) -> int:
        """Number of standard normals that make a draw."""
        return len(self.mean) if self.root is None else self.root.shape[1]

    def rows(self, A: Tensor) -> Tensor:
        """A R: (q, k) -> (q, r). A x has the covariance of its rows' inner products."""
        B = A if self.root is None else A @ self.root
        for V, gain in self.seen:
            B = B + (B @ V * gain) @ V.T
        return B

    def spread(self, z: Tensor) -> Tensor:
        """z Rᵀ: standard normals (n, r) -> deviations from the mean (n, k)."""
        for V, gain in reversed(self.seen):
            z = z + (z @ V * gain) @ V.T
        return z if self.root is None else z @ self.root.T

    @cached_property
    def matrix(self) -> Tensor:
        """R itself: (k, r)."""
        return self.rows(torch.eye(len(self.mean), dtype=torch.float64))

    @cached_property
    def cov(self) -> Tensor:
        return self.matrix @ self.matrix.T

    @cached_property
    def std(self) -> Tensor:
        return self.matrix.square().sum(-1).sqrt()

    def image(self, A: Tensor, shift: Tensor | float = 0.0) -> "Normal":
        """The distribution of A x + shift: A (q, k)."""
        return Normal(A @ self.mean + shift, self.rows(A))

    def update(self, A: Tensor, y: Tensor, noise_std: float) -> tuple["Normal", Tensor]:
        """Posterior of x given y = A x + s·ε, A (q, k), y (q,), and the log marginal likelihood of y.

        With A R / s = U S Vᵀ the mean moves by R V S/(1 + S²) Uᵀ(y − A mean)/s and R gets the factor (I + V S² Vᵀ)^-½
        (Rasmussen & Williams 2006, eqs. 2.11 and 2.30, in singular values).
        """
        s = max(noise_std, LEAST_NOISE)
        U, S, Vt = torch.linalg.svd(self.rows(A) / s, full_matrices=False)
        away = (y - A @ self.mean) / s
        inside, wide = U.T @ away, 1 + S.square()
        moved = self.mean + self.spread((inside * S / wide @ Vt)[None])[0]
        outside = away - U @ inside
        constant = len(y) * torch.log(torch.tensor(2 * torch.pi * s * s, dtype=torch.float64))
        log_marginal = -0.5 * (outside @ outside + (inside.square() / wide).sum() + wide.log().sum() + constant)
        return replace(self, mean=moved, seen=(*self.seen, (Vt.T, wide.rsqrt() - 1))), log_marginal

    def condition(self, A: Tensor, y: Tensor, noise_std: float) -> "Normal":
        """The posterior of `update`."""
        return self.update(A, y, noise_std)[0]

    def draw(self, n: int, *, seed: int) -> Tensor:
        """(n, k), each draw from its own stream."""
        return self.mean + self.spread(normals(seed, n, (self.rank,), "normal", dtype=torch.float64))

    @cached_property
    def _principal(self) -> tuple[Tensor, Tensor]:
        U, S, _ = torch.linalg.svd(self.matrix, full_matrices=False)
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
        """log density of x₀ + sigma·ε at x (n, k); sigma a number, or one for each row."""
        U, lam = self._principal
        s2, away = torch.as_tensor(sigma, dtype=torch.float64).reshape(-1) ** 2, x.double() - self.mean
        inside = away @ U
        rest = away.square().sum(-1) - inside.square().sum(-1)
        var = lam + s2[:, None]
        quad = (inside.square() / var).sum(-1) + rest / s2
        logdet = var.log().sum(-1) + (x.shape[-1] - len(lam)) * s2.log()
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
        parts, logs = zip(*(p.update(A, y, noise_std) for p in self.parts), strict=True)
        logs = self.log_weights + torch.stack(logs)
        return NormalMixture(logs - logs.logsumexp(0), parts)

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


def effective_sample_size(log_weights: Tensor) -> float:
    """Effective sample size of weighted draws: (Σw)²/Σw² (Kong 1992)."""
    w = (log_weights - log_weights.max()).exp()
    return float(w.sum() ** 2 / w.square().sum())
