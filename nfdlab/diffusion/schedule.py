"""Noise levels: which ones a sampler visits, which ones training practises, both derived from the data.

A variance-preserving process x_vp = sqrt(ᾱ) clean + sqrt(1 − ᾱ) noise is the same process seen through
x = x_vp / sqrt(ᾱ), sigma = sqrt((1 − ᾱ)/ᾱ); so its schedules are only other lists of sigma.
"""

import math

import torch
from torch import Tensor, nn

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


class NoiseLevels(nn.Module):
    """The noise levels that matter for some data, measured from draws of it: levels for training, levels for a sampler.

    Training draws ln sigma from N(ln median, width²); sampling goes from `high` to `low`. `median` is where the exact
    denoiser of a Gaussian with this covariance has lost half of what it can lose. Constants made for photographs do not
    carry over: the top eigenvalue of smooth functions grows with the number of points they are seen at.

    The four numbers are one float64 buffer, kept with the weights; NaN until they are measured.
    """

    def __init__(self, low: float = math.nan, high: float = math.nan, median: float = math.nan, width: float = 1.6):
        super().__init__()
        self.register_buffer("values", torch.tensor([low, high, median, width], dtype=torch.float64))

    low, high, median, width = (property(lambda self, i=i: float(self.values[i])) for i in range(4))

    @property
    def known(self) -> bool:
        """Whether they were measured."""
        return not math.isnan(self.high)

    def set(self, low: float, high: float, median: float) -> None:
        """Take these levels."""
        self.values[:3] = torch.tensor([low, high, median], dtype=torch.float64)

    @classmethod
    def of(cls, draws: Tensor, low: float = 0.01) -> "NoiseLevels":
        """Noise levels for standardised draws (b, …)."""
        found = cls()
        found.calibrate(draws, low)
        return found

    def calibrate(self, draws: Tensor, low: float = 0.01, scale: float = 1.0) -> None:
        """Measure from standardised draws (b, …): eigenvalues λ of their covariance give median = 0.94 sqrt(n/n_eff)
        with n_eff = (Σλ)²/Σλ², and high = 7 sqrt(λ₁), at which 2 % of the variance along the top direction is lost.

        `median` is drawn back by the geometric mean towards 1, because data that are already partly known leave
        residuals less alike than the prior's draws. `scale` multiplies all levels.
        """
        x = draws.flatten(1).double()
        require(len(x) >= 16, must="draws: at least 16 of them.", came=draws,
                why="Eigenvalues are estimated from them.", do="Pass a few hundred draws.")
        x = x - x.mean(0)
        gram = x @ x.T / (len(x) - 1) if len(x) < x.shape[1] else x.T @ x / (len(x) - 1)
        lam = torch.linalg.eigvalsh(gram).clamp_min(0)
        n_eff = float(lam.sum() ** 2 / lam.square().sum())
        median = 0.94 * math.sqrt(x.shape[1] / n_eff)
        self.set(scale * low, scale * max(7 * math.sqrt(float(lam[-1])), 10 * low), scale * max(1.0, median) ** 0.5)

    def train_at(self, median: float, width: float) -> None:
        """Take these training levels in place of the measured ones. What observations say is learned at high levels,
        where x says nothing; what they leave open is narrow, and is decided at levels of its own size."""
        self.values[2:] = torch.tensor([median, width], dtype=torch.float64)

    def sigmas(self, steps: int) -> Tensor:
        """The levels a sampler visits: (steps + 1,), the last 0."""
        return karras(steps, self.low, self.high)

    def for_training(self, u: Tensor) -> Tensor:
        """Levels for training from standard normals u (b,): median·exp(width·u), kept within the range."""
        return (self.median * torch.exp(self.width * u)).clamp(self.low / 2, 2 * self.high)
