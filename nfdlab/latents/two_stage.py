"""Two-stage training of a latent diffusion: an autoencoder, then a denoiser of its latents (Rombach et al. 2022)."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.rng import child
from ..core.types import Fields, Fitted
from ..gaussian.karhunen_loeve import LatentGaussian
from ..training import Losses, Stage, reused


@dataclass(frozen=True)
class LatentLosses(Losses):
    """What all trainings of a latent diffusion share: batches, and what is measured once there are latents.

    `net` has a `denoiser`, the latents' `covariance`, `grid_values(fields)`, which the encoder is given, and of these
    `raw` latents and those of unit scale, `encode`. `samples`: how many batches are measured, and functions in each.
    """

    samples: tuple[int, int] = 64, 64

    def batch(self, n: int, *use) -> tuple[Fields, Tensor]:
        """Fresh functions, and what the encoder is given of them, (n, c, *side)."""
        fields = self.run.functions(n, *use)
        return fields, self.net.grid_values(fields).to(self.run.device)

    @torch.no_grad()
    def sampled(self, encode: Callable[[Tensor], Tensor], use: str) -> Tensor:
        """Latents of fresh functions, by `net.raw` or `net.encode`."""
        batches, n = self.samples
        return torch.cat([encode(self.batch(n, use, j)[1]) for j in range(self.run.few(batches))])

    @torch.no_grad()
    def measure(self) -> None:
        """The scale of the latents; of those of unit scale the noise levels and Gaussians; the Gaussian that is shown
        to an encoder, if there is one."""
        net, n = self.net, self.samples[1]
        net.rescale(self.sampled(net.raw, "calibrate"))
        latents, prior = self.sampled(net.encode, "range"), net.denoiser.prior
        net.denoiser.noise_levels.calibrate(latents)
        if net.covariance is not None:
            net.covariance.calibrate(latents)
        if isinstance(prior, LatentGaussian):
            least = 2 * prior.expansion.rank // n + 1                          # more functions than twice the rank
            batches = (self.batch(n, "statistics", j) for j in range(max(least, self.run.few(-(-4096 // n)))))
            draws, latents = zip(*((f(prior.places.cpu()), net.encode(v)) for f, v in batches), strict=True)
            latents = torch.cat(latents)
            prior.calibrate(torch.cat(draws).to(latents), latents, seed=child(self.run.seed, "directions"))
        channels = net.gaussian_channels
        if channels is not None:
            draws = [self.run.functions(256, "channels", j)(channels.places) for j in range(self.run.few(16))]
            channels.calibrate(torch.cat(draws).to(self.run.device), seed=self.run.seed)


class TwoStageLosses(LatentLosses):
    """Both stages where observations never enter training; the loss of the first is a method `autoencode`."""

    def stages(self, model: Callable[[], Fitted]) -> tuple[Stage, Stage]:
        """Learn the autoencoder and measure its latents, then denoise them, each batch of latents `reuse` times. From
        then on there is a `model` to draw from."""
        config, net = self.config, self.net
        latents = reused(self.latents, config.reuse)
        return (Stage("autoencode", self.autoencode, net.autoencoder.parameters(), config.autoencoder_share,
                      config.autoencoder_lr, after=self.measure),
                Stage("diffuse", lambda i: self.diffuse(latents(i), i), net.denoiser.parameters(),
                      1 - config.autoencoder_share, config.lr, model=model))

    @torch.no_grad()
    def latents(self, group: int) -> Tensor:
        """A batch of latents for the second stage."""
        return self.net.encode(self.batch(self.config.diffusion_batch, "diffuse", group)[1])

    def diffuse(self, latents: Tensor, i: int) -> Tensor:
        """Second stage: denoise latents."""
        return self.net.denoiser.training_loss(latents, self.run.rng("diffuse", i))

    @torch.no_grad()
    def errors(self) -> Tensor:
        """Errors of 128 decoded functions at random points."""
        fields, values = self.batch(128, "floor")
        coords = self.run.queries(128, self.config.queries, self.run.rng("floor"))
        latent = self.net.encode(values)
        return self.net.values(coords.to(latent), latent) - fields(coords).to(latent)
