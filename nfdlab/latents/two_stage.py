"""Two-stage training of a latent diffusion: an autoencoder, then a denoiser of its latents (Rombach et al. 2022)."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..core.types import Fields
from ..training import Run


@dataclass(frozen=True)
class TwoStageLosses:
    """What both stages share, whatever the autoencoder: batches, the second loss, and what is measured between them.

    `net` has an `autoencoder`, a `denoiser`, the latents' `covariance`, and `grid_values(fields)`, which the encoder is
    given. `config` says how many functions are in a batch of each stage, and how many query points each has.
    """

    config: Any
    run: Run
    net: nn.Module

    def batch(self, n: int, *use) -> tuple[Fields, Tensor]:
        """Fresh functions, and what the encoder is given of them, (n, c, *side)."""
        fields = self.run.functions(n, *use)
        return fields, self.net.grid_values(fields).to(self.run.device)

    @torch.no_grad()
    def raw_latents(self, use: str) -> Tensor:
        """4096 latents before they are standardised."""
        return torch.cat([self.net.autoencoder.encoder(self.batch(64, use, j)[1]) for j in range(64)])

    def measure(self) -> None:
        """The scale of the latents, then the noise levels and the Gaussian of standardised ones."""
        net = self.net
        net.autoencoder.rescale(self.raw_latents("calibrate"))
        latents = net.autoencoder.unit(self.raw_latents("range"))
        net.denoiser.noise_levels.calibrate(latents)
        if net.covariance is not None:
            net.covariance.calibrate(latents)

    @torch.no_grad()
    def latents(self, group: int) -> Tensor:
        """A batch of latents for the second stage."""
        return self.net.autoencoder.encode(self.batch(self.config.diffusion_batch, "diffuse", group)[1])

    def diffuse(self, latents: Tensor, i: int) -> Tensor:
        """Second stage: denoise latents."""
        return self.net.denoiser.training_loss(latents, self.run.rng("diffuse", i))

    @torch.no_grad()
    def errors(self) -> Tensor:
        """Errors of 128 decoded functions at random points."""
        fields, values = self.batch(128, "floor")
        coords = self.run.queries(128, self.config.queries, self.run.rng("floor"))
        latent = self.net.autoencoder.encode(values)
        return self.net.values(coords.to(latent), latent) - fields(coords).to(latent)
