"""One denoiser: a Gaussian's exact answer plus what a network learns, D = mean + std · F.

The Gaussian is the prior. With a white one, N(0, sigma_data² I), this is EDM (Karras et al. 2022, table 1 and eq. 8);
with one that was measured on draws the network starts at the best linear answer. Both the loss and the samplers ask the
prior, and nothing else owns sigma_data.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..core import single
from ..core.rng import normals
from .schedule import NoiseLevels

DenoiseFn = Callable[[Tensor, Tensor], Tensor]       # D(x, sigma) -> the mean of the clean x


def like(sigma, x: Tensor) -> Tensor:
    """Noise level `sigma`, a number, (b,) or of as many dimensions as x, shaped to multiply x (b, …)."""
    sigma = torch.as_tensor(sigma, dtype=x.dtype, device=x.device)
    return sigma if sigma.ndim in (0, x.ndim) else sigma.reshape(-1, *[1] * (x.ndim - 1))


def level_of(sigma, x: Tensor) -> Tensor | float:
    """As `like`, but a number where one level on the CPU serves all: arithmetic of numbers costs a tenth of that of
    tensors, and a sampler of a small network does little else."""
    if isinstance(sigma, Tensor) and (sigma.ndim > 0 or sigma.device.type != "cpu" or sigma.requires_grad):
        return like(sigma, x)
    return float(sigma) if torch.as_tensor(sigma).ndim == 0 else like(sigma, x)


@dataclass(frozen=True, eq=False)
class Conditioning:
    """What a model computes once from observations, for every denoising step of all draws.

    `features` are further arguments of the network F, `prior` what the prior is conditioned on.
    """

    features: tuple = ()
    prior: Any = None


NOTHING = Conditioning()


class WhitePrior(nn.Module):
    """Posterior mean and standard deviation of clean ~ N(0, sigma_data² I), given x = clean + sigma · noise.

    Karras et al. 2022, table 1: c_skip x and c_out.
    """

    def __init__(self, sigma_data: float = 1.0):
        super().__init__()
        self.sigma_data = sigma_data

    def forward(self, x: Tensor, sigma, condition: Any = None) -> tuple[Tensor, Tensor]:
        """x (b, …), sigma () or (b,) -> mean (b, …), and std, a number or shaped to multiply it."""
        sd, s = self.sigma_data, level_of(sigma, x)
        total = (s**2 + sd**2) ** 0.5
        return sd**2 / total**2 * x, s * sd / total


class GaussianPrior(nn.Module):
    """Posterior mean of clean ~ N(mean, Q diag(lam) Qᵀ), k entries laid flat, given x = clean + sigma · noise.

    Mean and covariance are measured from draws and kept with the weights. The standard deviation that it gives a
    denoiser is that of a white Gaussian of scale `sigma_data`, an upper bound where no direction varies more.

    In guidance it stands in for the covariance that a denoiser leaves open, C = Q diag(lam σ²/(lam + σ²)) Qᵀ: exact for
    a Gaussian, and the best guess that does not depend on x for anything else. With a `rank` below k only the leading
    directions are kept, and all others have the same variance, `rest`.
    """

    def __init__(self, k: int, sigma_data: float = 1.0, rank: int | None = None):
        super().__init__()
        self.sigma_data, rank = sigma_data, k if rank is None else min(rank, k)
        self.register_buffer("mean", single.zeros(k))
        self.register_buffer("lam", single.ones(rank))
        self.register_buffer("Q", single.eye(k, rank))
        self.register_buffer("rest", single.ones(()) if rank < k else None)

    @torch.no_grad()
    def calibrate(self, draws: Tensor) -> None:
        """Measure mean and covariance from draws (b, …) of the clean x."""
        flat = draws.flatten(1).double()
        self.mean.copy_(flat.mean(0))
        lam, Q = torch.linalg.eigh(flat.T.cov())
        rank = len(self.lam)
        self.lam.copy_(lam[-rank:].clamp_min(0)), self.Q.copy_(Q[:, -rank:])
        if self.rest is not None:
            self.rest.copy_(lam[:-rank].clamp_min(0).mean())

    def forward(self, x: Tensor, sigma, condition: Any = None) -> tuple[Tensor, Tensor]:
        """x (b, …), sigma () or (b,) -> mean (b, …), and std, a number or shaped to multiply it."""
        s, sd = level_of(sigma, x), self.sigma_data
        return self.denoise(x, sigma), s * sd / (s**2 + sd**2) ** 0.5

    def denoise(self, x: Tensor, sigma) -> Tensor:
        """The Gaussian's exact denoiser: x (b, …), sigma () or (b,) -> the mean of the clean x."""
        mean, flat = self.mean.to(x), x.flatten(1)
        variance = level_of(sigma, flat)**2
        return (mean + self._scaled(flat - mean, lambda lam: lam / (lam + variance))).reshape(x.shape)

    def _scaled(self, flat: Tensor, of: Callable[[Tensor], Tensor]) -> Tensor:
        """Rows (…, k) times Q diag(of(lam)) Qᵀ, and of(rest) times what lies outside Q."""
        Q, lam = self.Q.to(flat), self.lam.to(flat)
        if self.rest is None:
            return (flat @ Q * of(lam)) @ Q.T
        rest = of(self.rest.to(flat))
        return flat * rest + (flat @ Q * (of(lam) - rest)) @ Q.T

    def denoiser(self) -> DenoiseFn:
        """`denoise` as a function of its own."""
        return self.denoise

    def left(self, rows: Tensor, sigma: Tensor) -> Tensor:
        """rows (m, n or 1, …) times C, for sigma () or (n,): (m, n or 1, …). At sigma = ∞ C is the prior's."""
        s = torch.as_tensor(sigma, dtype=rows.dtype, device=rows.device).reshape(-1, 1)
        product = self._scaled(rows.flatten(2), lambda lam: lam / (1 + lam / s**2))       # of (k,): (n or 1, k)
        return product.reshape(*product.shape[:2], *rows.shape[2:])

    def draw(self, n: int, *, seed: int) -> Tensor:
        """n draws of the Gaussian, each from its own stream: (n, k)."""
        shape = self.lam.shape if self.rest is None else self.mean.shape
        z = normals(seed, n, shape, "spectrum").to(self.lam)
        if self.rest is not None:
            return self.mean + self._scaled(z, torch.sqrt)
        return self.mean + z * self.lam.sqrt() @ self.Q.T


class ResidualNetwork(nn.Module):
    """Base of networks F that are shown the prior's answer and scale their own input: forward(x, sigma, mean, std,
    *features) -> F. Any other network is called as net(x / √(sigma² + sigma_data²), ¼ ln sigma, *features)."""


class Denoiser(nn.Module):
    """D(x, sigma, conditioning) = mean + std · F, the mean of the clean x: x (b, …) and sigma () or (b,) -> (b, …).

    `prior(x, sigma, conditioning.prior)` gives mean and std. By default it is a WhitePrior; any object that answers so
    will do. `noise_levels` are those that matter for the data, measured once there are any. A `silent` denoiser is the
    prior's own answer, F = 0.
    """

    silent = False

    def __init__(self, net: nn.Module, prior: nn.Module | None = None):
        super().__init__()
        self.net, self.prior = net, WhitePrior() if prior is None else prior
        self.noise_levels = NoiseLevels()

    def forward(self, x: Tensor, sigma, conditioning: Conditioning = NOTHING) -> Tensor:
        mean, std = self.prior(x, sigma, conditioning.prior)
        return mean if self.silent else mean + std * self.residual(x, sigma, mean, std, conditioning)

    def silence(self, part: str) -> bool:
        """F = 0 from now on, if the part is "network"."""
        self.silent = self.silent or part == "network"
        return part == "network"

    def residual(self, x: Tensor, sigma, mean: Tensor, std: Tensor, conditioning: Conditioning) -> Tensor:
        """F: what the network adds to the prior's mean, in units of its std."""
        if isinstance(self.net, ResidualNetwork):
            std = torch.as_tensor(std, dtype=x.dtype, device=x.device)
            return self.net(x, sigma, mean, std, *conditioning.features)
        s = level_of(sigma, x)
        total = (s**2 + self.prior.sigma_data**2) ** 0.5
        level = s.log().reshape(-1) / 4 if isinstance(s, Tensor) else x.new_full((1,), math.log(s) / 4)
        return self.net(x / total, level, *conditioning.features)                        # level (b,), (1,) if shared

    def loss(self, clean: Tensor, sigma: Tensor, noise: Tensor, conditioning: Conditioning = NOTHING) -> Tensor:
        """Mean of |F − (clean − mean)/std|² at x = clean + sigma · noise, clean and noise (b, …), sigma (b,).

        With the white prior this is EDM's loss with its weight λ(sigma) = 1/std² (Karras et al. 2022, eq. 8).
        """
        x = clean + like(sigma, clean) * noise
        with torch.no_grad():
            mean, std = self.prior(x, sigma, conditioning.prior)
        return (self.residual(x, sigma, mean, std, conditioning) - (clean - mean) / std).square().mean()

    def training_loss(self, clean: Tensor, rng: torch.Generator, conditioning: Conditioning = NOTHING) -> Tensor:
        """`loss` of clean (b, …) at random noise levels and with random noise, both drawn on the CPU from `rng`.

        The levels of a batch are stratified, one in each b-th of their distribution (Kingma et al. 2021, app. I.1).
        """
        sigma = self.noise_levels.for_training(stratified_normals(len(clean), rng)).to(clean.device)
        return self.loss(clean, sigma, single.randn(clean.shape, generator=rng).to(clean.device), conditioning)

    def given(self, conditioning: Conditioning = NOTHING) -> DenoiseFn:
        """D(x, sigma) of one conditioning, for samplers and guidance."""
        return lambda x, sigma: self(x, sigma, conditioning)


def stratified_normals(b: int, rng: torch.Generator) -> Tensor:
    """(b,) standard normals in random order, one in each b-th of the distribution."""
    uniform = (torch.randperm(b, generator=rng) + single.rand(b, generator=rng)) / b
    return torch.special.ndtri(uniform.clamp(1e-6, 1 - 1e-6))


# Adapters: networks that predict something else, made to speak D(x, sigma). Each takes net(x_scaled, sigma).

def from_eps(net) -> DenoiseFn:
    """Denoiser of a network that predicts the noise from the variance-preserving x: D = x − sigma · eps."""

    def D(x, sigma):
        s = like(sigma, x)
        return x - s * net(x / (1 + s**2).sqrt(), sigma)

    return D


def from_v(net) -> DenoiseFn:
    """Denoiser of a network that predicts v = a·noise − b·clean at x_vp = a·clean + b·noise, a² + b² = 1:
    D = a x_vp − b v. Salimans & Ho 2022, app. D."""

    def D(x, sigma):
        s = like(sigma, x)
        a = 1 / (1 + s**2).sqrt()
        return a * (a * x) - s * a * net(a * x, sigma)

    return D


def from_velocity(net) -> DenoiseFn:
    """Denoiser of a flow-matching network on the straight line x_t = (1 − t) clean + t noise, t = sigma/(1 + sigma):
    D = x_t − t · velocity.

    The network gets net(x_t, t) and predicts noise − clean. Lipman et al. 2023; Liu et al. 2023.
    """

    def D(x, sigma):
        s = like(sigma, x)
        t = s / (1 + s)
        level = torch.as_tensor(sigma, dtype=x.dtype, device=x.device)
        return x / (1 + s) - t * net(x / (1 + s), level / (1 + level))

    return D
