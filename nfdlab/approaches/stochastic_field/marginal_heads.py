"""The law of one number at one place, given what was heard there: r = T(w), w standard normal, T rising.

Three ways to say it. *Diffusion*: T is the flow from noise to data of a one-dimensional denoiser, so r may have any
law. *Quantile*: T is a network, trained by the fair CRPS of a few of its own draws. *Gaussian*: T(w) = m + s w. All
start as T(w) = w, which is right where the best linear answer is all there is to say.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ...diffusion.samplers import SamplerStep, path
from ...diffusion.schedule import NoiseLevels
from ...fields.encodings import Fourier
from ...nn.networks import Level


class MarginalNetwork(nn.Module):
    """F(y (k, *s), level (k or 1, *s or ones), h (*s, H)) -> (k, *s): each entry by itself.

    What was heard enters every layer by a sum, so that it is computed once for all k. The exit starts at zero.
    `features` are those before the exit.
    """

    def __init__(self, features: int, width: int, depth: int, octaves: int = 3):
        super().__init__()
        self.level, self.encode = Level(width), Fourier(1, octaves)
        self.input = nn.Linear(self.encode.out, width)
        self.condition = nn.ModuleList(nn.Linear(features, width) for _ in range(depth + 1))
        self.told = nn.ModuleList(nn.Linear(width, width) for _ in range(depth + 1))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(depth + 1))
        self.one = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.two = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.output = nn.Linear(width, 1)
        for layer in (*self.two, self.output):
            nn.init.zeros_(layer.weight), nn.init.zeros_(layer.bias)

    def features(self, y: Tensor, level: Tensor, h: Tensor) -> Tensor:
        """(k, *s, width)."""
        told = self.level(level.flatten()).unflatten(0, level.shape)
        x = self.input(self.encode(y[..., None] / 2)) + self.condition[0](h) + self.told[0](told)
        for norm, one, two, condition, tell in zip(self.norms, self.one, self.two, self.condition[1:], self.told[1:],
                                              strict=False):
            x = x + two(nn.functional.silu(one(nn.functional.silu(norm(x))) + condition(h) + tell(told)))
        return nn.functional.silu(self.norms[-1](x))

    def forward(self, y: Tensor, level: Tensor, h: Tensor) -> Tensor:
        return self.output(self.features(y, level, h))[..., 0]


class DiffusionHead(nn.Module):
    """D(y, sigma, h) -> mean of the clean r, place by place; preconditioned as in Karras et al. 2022 with
    sigma_data = 1, so that F = 0 is exact for r ~ N(0, 1)."""

    noise_levels = NoiseLevels(0.01, 6.0, 0.5)

    def __init__(self, features: int, width: int, depth: int):
        super().__init__()
        self.net = MarginalNetwork(features, width, depth)

    def denoise(self, y: Tensor, sigma: Tensor, h: Tensor) -> Tensor:
        """y (k, *s), sigma () or (k, *s or ones), h (*s, H)."""
        sigma = torch.as_tensor(sigma, dtype=y.dtype, device=y.device)
        sigma = sigma.reshape([1] * y.ndim) if sigma.ndim == 0 else sigma
        total = (1 + sigma.square()).sqrt()
        return y / total.square() + sigma / total * self.net(y / total, sigma.log() / 4, h)

    def loss(self, r: Tensor, h: Tensor, noise: torch.Generator, many: int) -> Tensor:
        """Weighted squared error per entry of r (b, p, c), h (b, p, c, H); `many` noise levels for each function."""
        level = torch.randn(many, len(r), 1, 1, generator=noise)
        sigma, white = self.noise_levels.for_training(level).to(r), torch.randn(many, *r.shape, generator=noise).to(r)
        weight = (1 + sigma.square()) / sigma.square()
        return (weight * (self.denoise(r + sigma * white, sigma, h) - r).square()).mean()

    def walk(self, w: Tensor, h: Tensor, steps: int, sampler: str, noise=None) -> Iterator[SamplerStep]:
        """T(w) for w (k, *s), a Visit a step. The start has the spread of noise and data together, so that a highest
        sigma of 6 loses nothing."""
        sigmas = self.noise_levels.sigmas(steps).to(w)
        start = (1 + sigmas[0].square()).sqrt() * w
        return path(lambda y, sigma: self.denoise(y, sigma, h), start, sigmas, method=sampler, noise=noise)


class QuantileHead(nn.Module):
    """T(w) = w + F(w, h)."""

    def __init__(self, features: int, width: int, depth: int):
        super().__init__()
        self.net = MarginalNetwork(features, width, depth)

    def transport(self, w: Tensor, h: Tensor) -> Tensor:
        return w + self.net(w, w.new_zeros([1] * w.ndim), h)

    def loss(self, r: Tensor, h: Tensor, noise: torch.Generator, many: int) -> Tensor:
        """Fair CRPS of `many` draws at each place (Gneiting & Raftery 2007, eq. 20)."""
        q = self.transport(torch.randn(many, *r.shape, generator=noise).to(r), h)
        apart = (q[:, None] - q[None]).abs().sum((0, 1)) / (many * (many - 1))
        return ((q - r).abs().mean(0) - apart / 2).mean()

    def walk(self, w: Tensor, h: Tensor, steps: int, sampler: str, noise=None) -> Iterator[SamplerStep]:
        """One step, whatever is asked."""
        found = self.transport(w, h)
        yield SamplerStep(0, 1, w.new_zeros(()), found, found)


class GaussianHead(nn.Module):
    """T(w) = m(h) + s(h) w."""

    def __init__(self, features: int, width: int, depth: int):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(features, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(),
                                 nn.Linear(width, 2))
        nn.init.zeros_(self.net[-1].weight), nn.init.zeros_(self.net[-1].bias)

    def transport(self, w: Tensor, h: Tensor) -> Tensor:
        mean, log_spread = self.net(h).unbind(-1)
        return mean + log_spread.clamp(-6, 2).exp() * w

    def loss(self, r: Tensor, h: Tensor, noise: torch.Generator, many: int) -> Tensor:
        """Gaussian log score, weighed by each entry's own spread (β-NLL, β = ½; Seitzer et al. 2022, eq. 5)."""
        mean, log_spread = self.net(h).unbind(-1)
        spread = log_spread.clamp(-6, 2).exp()
        return (spread.detach() * (0.5 * ((r - mean) / spread).square() + spread.log())).mean()

    walk = QuantileHead.walk


HEADS = {"diffusion": DiffusionHead, "quantile": QuantileHead, "gaussian": GaussianHead}
