"""Codes at unit scale. Diffusion assumes it; a latent ten times too small comes back as a blob at the mean."""

import torch
from torch import Tensor, nn


class Standardise(nn.Module):
    """Per-channel (x − mean)/std for latents (b, k, …): batch statistics while training, fixed ones after `calibrate`."""

    def __init__(self, channels: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("std", torch.ones(channels))

    @staticmethod
    def statistics(x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of each channel: (k,), (k,)."""
        flat = x.transpose(0, 1).flatten(1)
        return flat.mean(1), flat.std(1).clamp_min(1e-6)

    @torch.no_grad()
    def calibrate(self, x: Tensor) -> None:
        """Fix the statistics to those of raw latents x (b, k, …)."""
        mean, std = self.statistics(x)
        self.mean.copy_(mean), self.std.copy_(std)

    def forward(self, x: Tensor) -> Tensor:
        mean, std = self.statistics(x) if self.training else (self.mean, self.std)
        shape = (1, -1, *[1] * (x.ndim - 2))
        return (x - mean.reshape(shape)) / std.reshape(shape)

    def restore(self, x: Tensor) -> Tensor:
        """Raw latents of latents at the fixed unit scale."""
        shape = (1, -1, *[1] * (x.ndim - 2))
        return x * self.std.reshape(shape) + self.mean.reshape(shape)


class AmortisedGaussian(nn.Module):
    """What the observations alone say of a latent: its mean and spread, element by element, from features (b, w, *cells).

    `residual` takes a latent to (latent − mean)/spread and `restore` takes it back. Diffusion then works on residuals that
    have unit scale whether nothing was seen or everything, so one sigma_data serves all; with nothing to go by, mean
    and spread are those of the prior. The residual keeps what mean and spread cannot say: which elements move together,
    and which of several answers it is. Mardani et al. 2023 (CorrDiff) diffuse the residual of a regression for the
    same reason; here its scale is predicted too.
    """

    LEAST, MOST = 0.01, 2.0                       # bounds of the spread, in standard deviations of the latent

    def __init__(self, conv: type[nn.Module], features: int, channels: int, direct: int = 0):
        super().__init__()
        self.head = conv(features, 2 * channels, 1)
        nn.init.zeros_(self.head.weight), nn.init.zeros_(self.head.bias)
        self.direct = conv(direct, direct * channels, 3, padding=1) if direct else None
        self.gate = conv(features, direct * channels, 1) if direct else None

    def forward(self, features: Tensor, direct: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mean and spread. `direct` channels are estimates of the field: the mean adds linear maps of them, each
        weighed by a gate that the features set, so that the network chooses among estimates and need not compute one.
        """
        mean, log_spread = self.head(features).chunk(2, 1)
        if self.direct is not None:
            heard = (self.gate(features) * self.direct(direct)).unflatten(1, (mean.shape[1], -1))
            mean = mean + heard.sum(2)
        return mean, log_spread.exp().clamp(self.LEAST, self.MOST)

    @staticmethod
    def residual(latent: Tensor, mean: Tensor, spread: Tensor) -> Tensor:
        return (latent - mean) / spread

    @staticmethod
    def restore(x: Tensor, mean: Tensor, spread: Tensor) -> Tensor:
        return mean + spread * x

    @staticmethod
    def loss(latent: Tensor, mean: Tensor, spread: Tensor) -> Tensor:
        """Gaussian log score with each element weighed by its own spread (β-NLL, β = ½), so that sharp elements do not
        drown the rest. Seitzer et al. 2022, eq. 5."""
        score = 0.5 * ((latent - mean) / spread).square() + spread.log()
        return (spread.detach() * score).mean()
