"""Approach 1: latent diffusion with a neural field as decoder; observations guide the draw.

An *autoencoder* represents a field by a latent: a few numbers on each cell of a coarse grid, or one vector. A
*denoiser* learns the distribution of the latents. The *decoder* is a neural field: it is asked at any point, and given
the width of the pixel. Observations never enter training; they guide the sampler through the decoder.
"""

from dataclasses import dataclass
from math import log, prod
from typing import ClassVar

import torch
from torch import Tensor

from ..core import single
from ..core.config import NetworkConfig
from ..core.fields import EvaluatedFields
from ..core.types import Budget, Card, Source, Views, Watch, quiet
from ..diffusion.denoiser import Conditioning, Denoiser, GaussianPrior
from ..inference.posterior import AutoencoderNetwork, AutoencoderPosterior, DecoderError
from ..latents.autoencoder import Autoencoder
from ..latents.box_averages import box_averages
from ..latents.two_stage import TwoStageLosses
from ..nn.networks import MLP
from ..nn.unet import UNet
from ..training import Run

NARROW, WIDE = 2 / 256, 2 / 8        # widths of pixels in training, in units of the box
LONGEST = 1024                       # numbers in a latent whose covariance is kept


class LatentFieldNetwork(AutoencoderNetwork):
    """Autoencoder and denoiser. Shape of a latent: (k, *cells), or (k,)."""

    def __init__(self, config: "LatentField", d: int, c: int):
        super().__init__()
        cells, k, vector, linear = (config.cells, config.latent_channels, config.autoencoder == "vector",
                                    config.autoencoder == "linear")
        self.side, self.shape = cells * config.points_per_cell, (k,) if vector else (k, *[cells] * d)
        self.autoencoder = Autoencoder(d, c, self.side, cells, k, config.width, config.octaves, linear,
                                       k if vector else 0)
        gaussian = GaussianPrior(prod(self.shape)) if prod(self.shape) <= LONGEST else None
        white = config.prior == "white"
        self.gaussian = gaussian if white else None
        network = MLP(k, *config.denoiser_layers) if vector else UNet(d, k, 0, config.widths, config.depth)
        self.denoiser = Denoiser(network, None if white else gaussian)


class LatentFieldPosterior(AutoencoderPosterior):
    """A trained approach 1."""

    @torch.no_grad()
    def decode(self, latent: Tensor, conditioning: Conditioning | None = None, size: float = 0.0) -> EvaluatedFields:
        """Latents (n, *shape) of unit scale -> Fields: values at points, or averages over boxes `size` wide."""
        prepared = self.net.prepare(latent)
        return self.evaluated(lambda coords, part: self.net.evaluate(coords, tuple(t[part] for t in prepared), size),
                              len(latent))


@dataclass(frozen=True)
class LatentField(NetworkConfig):
    """Config of approach 1. None chooses by dimension."""

    card: ClassVar[Card] = Card(
        1, "Latent diffusion with a field decoder",
        "compress fields into latents, diffuse the latents, decode each at any resolution; observations guide the draw",
        "Rombach et al. 2022 (latent diffusion); Chen et al. 2024 (image neural fields); Chen et al. 2021 (field)",
        "one prior for many questions: generation at any resolution, and any data a decoder can be compared with",
        "a draw is never better than the autoencoder; guidance is approximate where latents are far from Gaussian")
    trained: ClassVar[type] = LatentFieldPosterior
    network: ClassVar[type] = LatentFieldNetwork
    choices: ClassVar[dict] = {"autoencoder": ("linear", "convolutional", "vector")}
    usual: ClassVar[dict] = {"cells": {1: 16, 2: 8, 3: 4}, "points_per_cell": {1: 8, 2: 4, 3: 4}}

    # "white": a standard normal; "gaussian": a Gaussian measured on latents, white above 1024 numbers
    prior: str = "white"
    # "linear" or "convolutional": encoders to a grid of cells; "vector": to one vector
    autoencoder: str = "linear"
    latent_channels: int = 4                 # numbers per cell; of a "vector" in all
    cells: int | None = None                 # cells a side of the latent's grid: 16 in 1D, 8 in 2D, 4 in 3D
    # points of the encoder's grid per cell and axis, a power of two: 8 in 1D, else 4
    points_per_cell: int | None = None
    width: int = 48                          # channels of the autoencoder
    octaves: int = 3                         # Fourier octaves of the field's local coordinates
    widths: tuple[int, ...] = (48, 64)       # channels of the U-Net on the cells, on half of them, ...
    depth: int = 2                           # its residual blocks on each, on the way down and again on the way up
    denoiser_layers: tuple[int, int] = (192, 3)  # width and depth of the denoiser of a vector
    batch: int = 32                          # functions in a batch of the autoencoder
    diffusion_batch: int = 64                # latents in a batch of the denoiser
    reuse: int = 1  # training steps of the denoiser that use each batch of latents, with fresh noise
    queries: int = 192                       # query points of each function in a training step
    jitter: float = 0.05                     # standard deviation of the noise on latents while the decoder learns
    autoencoder_share: float = 0.4           # share of the budget for the autoencoder
    lr: float = 2e-3                         # learning rate of the denoiser
    autoencoder_lr: float = 2e-3             # learning rate of the autoencoder
    steps: int = 20                          # sampling steps
    guide: str = "linearised"                # how observations enter a draw
    num_particles: int = 512                 # particles of the guide "particles"

    def fit(self, source: Source, *, views: Views, budget: Budget, seed: int, device: str = "auto",
            watch: Watch = quiet) -> LatentFieldPosterior:
        """Train on fresh functions; `views` is not used. Cancelled early, it returns what it has."""
        run = Run(source, views, budget, seed, device, watch)
        net = run.build(self)
        learn = LatentFieldLosses(self, run, net)

        def model() -> LatentFieldPosterior:
            return LatentFieldPosterior(net, run.record("latent_field", self, **DecoderError.record(learn.errors())),
                                        self.steps)

        run.train(net, *learn.stages(model))
        return model()


class LatentFieldLosses(TwoStageLosses):
    """The losses of a training step i."""

    def autoencode(self, i: int) -> Tensor:
        """Stage 1: encode functions, decode half of them at points and half averaged over pixels."""
        config, auto, device, rng = self.config, self.net.autoencoder, self.run.device, self.run.rng("auto", i)
        fields, values = self.batch(config.batch, "auto", i)
        coords = self.run.queries(config.batch, config.queries, rng)
        size = NARROW * torch.exp(single.rand(config.batch, generator=rng) * log(WIDE / NARROW))
        size = size * (torch.arange(config.batch) % 2)
        truth = box_averages(fields, coords, size, rng).to(device)
        latent = auto.encode(values, by_batch=True)
        latent = latent + config.jitter * single.randn(latent.shape, generator=rng).to(device)
        return (auto(coords.to(device), latent, size.to(device)) - truth).square().mean()


APPROACH = LatentField
