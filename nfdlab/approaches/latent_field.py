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

from ..core.config import NetworkConfig
from ..core.fields import EvaluatedFields
from ..core.grid import grid_values
from ..core.types import Budget, Card, Fields, Source, Views, Watch, quiet
from ..diffusion.denoiser import Conditioning, Denoiser, GaussianPrior
from ..inference.posterior import AutoencoderNetwork, AutoencoderPosterior, DecoderError
from ..latents.autoencoder import Autoencoder, GridLatent
from ..latents.two_stage import TwoStageLosses
from ..nn.networks import MLP, ConvNet
from ..training import Run

NARROW, WIDE = 2 / 256, 2 / 8        # widths of pixels in training, in units of the box
LONGEST = 1024                       # numbers in a latent whose covariance is kept
PARTS = 4                            # of a pixel along each axis, for its average


class LatentFieldNetwork(AutoencoderNetwork):
    """Autoencoder and denoiser. Shape of a latent: (k, *cells), or (k,)."""

    def __init__(self, config: "LatentField", d: int, c: int):
        super().__init__()
        cells, w, k, vector = config.cells, config.width, config.latent_channels, config.autoencoder == "vector"
        self.side, self.encoder_input = cells * config.points_per_cell, config.encoder_input
        sized = config.decoder_output == "pixels"
        if config.autoencoder == "grid":
            k = c * config.points_per_cell**d
            self.autoencoder = GridLatent(d, c, self.side, cells, 0, w, config.octaves, sized, d < 3)
        else:
            self.autoencoder = Autoencoder(d, c, self.side, cells, k, 0, w, config.octaves,
                                           config.autoencoder == "linear", k if vector else 0, sized)
        self.shape = (k,) if vector else (k, *[cells] * d)
        gaussian = GaussianPrior(prod(self.shape)) if prod(self.shape) <= LONGEST else None
        white = config.prior == "white"
        self.gaussian = gaussian if white else None
        self.denoiser = Denoiser(MLP(k, *config.denoiser_layers) if vector else
                                 ConvNet(d, k, 0, w, config.denoiser_dilations), None if white else gaussian)

    def grid_values(self, fields: Fields) -> Tensor:
        """What the encoder is given: fields at the points of its grid or averaged over its pixels, (n, c, *side)."""
        if self.encoder_input == "points":
            return super().grid_values(fields)
        values = grid_values(fields, PARTS * self.side).movedim(1, -1)
        for axis in range(1, 1 + fields.d):
            values = values.unflatten(axis, (self.side, PARTS)).mean(axis + 1)
        return values.movedim(-1, 1)


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
    choices: ClassVar[dict] = {"autoencoder": ("linear", "convolutional", "vector", "grid"),
                               "encoder_input": ("points", "pixels"), "decoder_output": ("points", "pixels")}
    usual: ClassVar[dict] = {"cells": {1: 16, 2: 8, 3: 4}, "points_per_cell": {1: 8, 2: 4, 3: 4}}

    # "gaussian": a Gaussian measured on latents, white above 1024 numbers; "white": a standard normal
    prior: str = "gaussian"
    # "linear" or "convolutional": encoders to a grid of cells; "vector": to one vector; "grid": the latent is the grid
    # that the encoder is given, and the field adds what interpolation misses
    autoencoder: str = "linear"
    # numbers per cell; of a "vector" in all; a "grid" autoencoder has one per point and channel
    latent_channels: int = 4
    cells: int | None = None                 # cells a side of the latent's grid: 16 in 1D, 8 in 2D, 4 in 3D
    # points of the encoder's grid per cell and axis, a power of two: 8 in 1D, else 4
    points_per_cell: int | None = None
    # what the encoder's grid holds: values at its "points", or averages over its "pixels"
    encoder_input: str = "points"
    # what the decoder learns: values at "points", or also averages over "pixels", whose width is an input
    decoder_output: str = "pixels"
    width: int = 48                          # channels of autoencoder and convolutional denoiser
    octaves: int = 3                         # Fourier octaves of the field's local coordinates
    # dilations of the residual blocks of the denoiser of a latent on cells
    denoiser_dilations: tuple[int, ...] = (1, 2, 1, 2)
    denoiser_layers: tuple[int, int] = (192, 3)  # width and depth of the denoiser of a vector
    batch: int = 32                          # functions in a batch of the autoencoder
    diffusion_batch: int = 64                # latents in a batch of the denoiser
    reuse: int = 1  # training steps of the denoiser that use each batch of latents, with fresh noise
    queries: int = 192                       # query points of each function in a training step
    jitter: float = 0.05                     # standard deviation of the noise on latents while the decoder learns
    autoencoder_share: float = 0.5           # share of the budget for the autoencoder
    lr: float = 1.5e-3                       # learning rate of the denoiser
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
        if self.autoencoder == "grid":                       # the latent is known, so its scale is: measure it first
            net.rescale(learn.sampled(net.raw, "calibrate"))
        run.train(net, *learn.stages())
        return LatentFieldPosterior(net, run.record("latent_field", self, **DecoderError.record(learn.errors())),
                                    self.steps)


class LatentFieldLosses(TwoStageLosses):
    """The losses of a training step i."""

    def autoencode(self, i: int) -> Tensor:
        """Stage 1: encode functions, decode half of them at points and half averaged over pixels."""
        config, auto, device, rng = self.config, self.net.autoencoder, self.run.device, self.run.rng("auto", i)
        fields, values = self.batch(config.batch, "auto", i)
        coords = self.run.queries(config.batch, config.queries, rng)
        size = NARROW * torch.exp(torch.rand(config.batch, generator=rng) * log(WIDE / NARROW))
        size = size * (torch.arange(config.batch) % 2) * (config.decoder_output == "pixels")
        truth = box_averages(fields, coords, size, rng).to(device)
        latent = auto.encode(values, by_batch=config.autoencoder != "grid")
        latent = latent + config.jitter * torch.randn(latent.shape, generator=rng).to(device)
        coords = coords.to(device)
        errors = (auto(coords, latent, size=size.to(device)) - truth).square().mean((1, 2))
        if config.autoencoder == "grid":                     # relative to interpolation, which is nearly right for some
            errors = errors / ((auto.between(auto.points(latent), coords) - truth).square().mean((1, 2)) + 1e-4)
        return errors.mean()


def box_averages(fields: Fields, coords: Tensor, size: Tensor, rng: torch.Generator) -> Tensor:
    """Averages of b fields over boxes of widths (b,) centred at coords (b, q, d): (b, q, c). The value at the point
    where the width is 0, else the mean of one random point in each of the box's 2^d parts."""
    b, q, d = coords.shape
    if not size.any():
        return fields(coords)
    corners = torch.cartesian_prod(*[torch.tensor([-0.5, 0.0])] * d).reshape(-1, 1, 1, d)
    inside = corners + 0.5 * torch.rand(2**d, b, q, d, generator=rng)
    places = (coords + size[:, None, None] * inside).clamp(-1, 1)
    parts = [fields[i](coords[i] if size[i] == 0 else places[:, i].flatten(0, 1)) for i in range(b)]
    return torch.cat([v if size[i] == 0 else v.unflatten(1, (2**d, q)).mean(1) for i, v in enumerate(parts)])


APPROACH = LatentField
