"""Noise levels: which ones a sampler visits, which ones training practises, both derived from the data.

A variance-preserving process x_vp = sqrt(ᾱ) clean + sqrt(1 − ᾱ) noise is the same process seen through
x = x_vp / sqrt(ᾱ), sigma = sqrt((1 − ᾱ)/ᾱ); so its schedules are only other lists of sigma.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.checks import require, require_count, require_number


def karras(steps: int, sigma_min: float, sigma_max: float, rho: float = 7.0) -> Tensor:
    """(steps + 1,) levels from sigma_max to sigma_min, then 0; even in sigma^(1/rho). Karras et al. 2022, eq. 5."""
    require_count(steps, "steps", at_least=2)
    require_number(sigma_min, "sigma_min", 0.0, open_low=True), require_number(sigma_max, "sigma_max", sigma_min)
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64)
    levels = (sigma_max ** (1 / rho) + ramp * (sigma_min ** (1 / rho) - sigma_max ** (1 / rho))) ** rho
    return torch.cat([levels, levels.new_zeros(1)]).float()


def vp_sigmas(alpha_bar: Tensor) -> Tensor:
    """sqrt((1 − ᾱ)/ᾱ): the sigma of each step of a variance-preserving process."""
    return ((1 - alpha_bar) / alpha_bar).sqrt()


def linear_alpha_bar(steps: int = 1000, beta_min: float = 1e-4, beta_max: float = 0.02) -> Tensor:
    """ᾱ (steps,) of linearly growing β. Ho et al. 2020, sec. 4."""
    return (1 - torch.linspace(beta_min, beta_max, steps, dtype=torch.float64)).cumprod(0)


def cosine_alpha_bar(steps: int = 1000, offset: float = 0.008, most: float = 0.999) -> Tensor:
    """ᾱ (steps,) on a squared cosine, each β at most `most`. Nichol & Dhariwal 2021, eq. 17."""
    t = torch.arange(steps + 1, dtype=torch.float64) / steps
    f = torch.cos((t + offset) / (1 + offset) * math.pi / 2) ** 2
    return (1 - (1 - f[1:] / f[:-1]).clamp_max(most)).cumprod(0)


def spaced(sigmas: Tensor, steps: int) -> Tensor:
    """`steps` of a long list of rising sigmas, highest first, evenly spaced in index, then 0: (steps + 1,)."""
    index = torch.linspace(len(sigmas) - 1, 0, steps, dtype=torch.float64).round().long()
    return torch.cat([sigmas[index], sigmas.new_zeros(1)]).float()


@dataclass(frozen=True)
class NoiseLevels:
    """The noise levels that matter for some data, measured from draws of it.

    `half` is where the exact denoiser of a Gaussian with this covariance has lost half of what it can lose; training
    draws ln sigma from N(ln half, spread²) and sampling starts at `high`. Constants made for photographs do not carry
    over: the top eigenvalue of smooth functions grows with the number of points they are seen at.
    """

    low: float
    high: float
    half: float
    spread: float = 1.6

    @classmethod
    def of(cls, draws: Tensor, low: float = 0.01) -> "NoiseRange":
        """From standardised draws (b, …): eigenvalues λ of their covariance give half = 0.94 sqrt(n/n_eff) with
        n_eff = (Σλ)²/Σλ², and high = 7 sqrt(λ₁), at which 2 % of the variance along the top direction is lost.

        `half` is drawn back by the geometric mean towards 1, because data that are already partly known leave residuals
        less alike than the prior's draws.
        """
        x = draws.flatten(1).double()
        require(len(x) >= 16, must="draws: at least 16 of them.", came=draws,
                why="Eigenvalues are estimated from them.", do="Pass a few hundred draws.")
        x = x - x.mean(0)
        gram = x @ x.T / (len(x) - 1) if len(x) < x.shape[1] else x.T @ x / (len(x) - 1)
        lam = torch.linalg.eigvalsh(gram).clamp_min(0)
        n_eff = float(lam.sum() ** 2 / lam.square().sum())
        half = 0.94 * math.sqrt(x.shape[1] / n_eff)
        return cls(low, max(7 * math.sqrt(float(lam[-1])), 10 * low), max(1.0, half) ** 0.5)

    def sigmas(self, steps: int) -> Tensor:
        """The levels a sampler visits: (steps + 1,), the last 0."""
        return karras(steps, self.low, self.high)

    def training(self, u: Tensor) -> Tensor:
        """Levels for training from standard normals u (b,): half·exp(spread·u), kept within the range."""
        return (self.half * torch.exp(self.spread * u)).clamp(self.low / 2, 2 * self.high)
