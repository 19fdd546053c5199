"""Approach 5: sparse observations -> encoder -> conditional diffusion of a local latent -> neural field.

The *latent* holds a few numbers on each cell of a grid: the values of the function at the points of a finer grid. An
*encoder* turns any set of observations into features on the same cells. A *denoiser* (a U-Net) samples the latent,
conditioned on the features. A *field* decodes it: interpolation between the points, plus what a local network adds, so
that one draw is one function at any resolution.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..core import single
from ..core.config import NetworkConfig
from ..core.types import Budget, Card, ObservationBatch, Source, Views, Watch, quiet
from ..diffusion.denoiser import Conditioning, Denoiser
from ..encoders.grid_channels import SetConv
from ..gaussian.channels import GaussianChannels
from ..gaussian.karhunen_loeve import STATISTICS, LatentGaussian
from ..inference.posterior import AutoencoderNetwork, LatentPosterior
from ..latents.autoencoder import NodalLatent
from ..latents.importance_sampling import importance_sampled
from ..latents.two_stage import LatentLosses
from ..nn.networks import GridEncoder
from ..nn.unet import UNet
from ..training import Run, Stage

CHANGING = 0.6       # share of the field's query points that lie where functions change
SHARPNESS = 0.03     # the field's errors count quadratically below it, linearly above


class SparseConditionalNetwork(AutoencoderNetwork):
    """Encoder, denoiser and field. Shapes: latent (b, k, *cells), features (b, encoder_width, *cells)."""

    amortised = True

    def __init__(self, config: "SparseConditional", d: int, c: int):
        super().__init__()
        cells, w = config.cells, config.encoder_width
        self.side = side = cells * config.points_per_cell
        self.shape = (c * config.points_per_cell**d, *[cells] * d)
        self.autoencoder = NodalLatent(d, c, side, cells, config.field_width, config.octaves)
        self.setconv = SetConv(d, c, side, config.setconv_widths)
        channels = self.setconv.channels
        if config.gaussian_rank:
            self.gaussian_channels = GaussianChannels(d, c, side, config.gaussian_rank)
            channels += self.gaussian_channels.channels
        self.encoder = GridEncoder(d, channels, side, cells, w, w, dilations=(1,))
        prior = None if config.prior == "white" else LatentGaussian(d, c, *STATISTICS[d], self.shape)
        self.denoiser = Denoiser(UNet(d, self.shape[0], w, config.widths, config.depth), prior)

    def condition(self, observations: ObservationBatch) -> Conditioning:
        """Features of the observations; where the prior is a measured Gaussian, also its posterior."""
        channels = self.setconv(observations)
        if self.gaussian_channels is not None:
            channels = torch.cat([channels, self.gaussian_channels(observations)], 1)
        return self.conditioned(Conditioning((self.encoder(channels),)), observations)


@dataclass(frozen=True)
class SparseConditional(NetworkConfig):
    """Config of approach 5. None chooses by dimension."""

    card: ClassVar[Card] = Card(
        5, "Sparse conditional field",
        "encode the observations as a set, diffuse a local latent conditioned on them, decode a field",
        "Gordon et al. 2020 (SetConv); Karras et al. 2022 (diffusion); Chen et al. 2021 (local field)",
        "fast, calibrated answers for any number and layout of observations like those it was trained on",
        "amortised: layouts, noise levels or kinds of function outside training are answered with misplaced confidence")
    trained: ClassVar[type] = LatentPosterior
    network: ClassVar[type] = SparseConditionalNetwork
    usual: ClassVar[dict] = {"cells": {1: 32, 2: 16, 3: 8}, "points_per_cell": {1: 4, 2: 2, 3: 2}}

    prior: str = "white"                     # or "gaussian", measured on draws and conditioned on the observations
    cells: int | None = None                 # cells a side of the latent: 32 in 1D, 16 in 2D, 8 in 3D
    points_per_cell: int | None = None       # points per cell and axis, a power of two: 4 in 1D, else 2
    setconv_widths: tuple[float, ...] = (0.7, 2.0, 6.0)  # lengthscales of SetConv, in points
    # directions of a Gaussian measured on draws, whose posterior mean and std are shown to the encoder; 0: none
    gaussian_rank: int = 0
    encoder_width: int = 32                  # channels of the encoder on the cells
    widths: tuple[int, ...] = (48, 64)       # channels of the U-Net on the cells, on half of them, ...
    depth: int = 2                           # its residual blocks on each, on the way down and again on the way up
    field_width: int = 24                    # channels of the field
    octaves: int = 3                         # Fourier octaves of its local coordinates
    jitter: float = 0.01                     # standard deviation of the noise on latents while the field learns
    field_share: float = 0.05                # share of the budget for the field
    field_batch: int = 16                    # functions in a batch of the field
    queries: int = 128                       # query points of each of them
    batch: int = 64                          # functions in a batch of encoder and denoiser
    lr: float = 2e-3                         # their learning rate; the field's is 1.5 times as large
    steps: int = 12                          # sampling steps

    def fit(self, source: Source, *, views: Views, budget: Budget, seed: int, device: str = "auto",
            watch: Watch = quiet) -> LatentPosterior:
        """Train on fresh functions, observed as `views` hides them. Cancelled early, it returns what it has."""
        run = Run(source, views, budget, seed, device, watch)
        net = run.build(self)
        learn = SparseConditionalLosses(self, run, net, samples=(8, self.batch))
        learn.measure()

        def model() -> LatentPosterior:
            return LatentPosterior(net, run.record("sparse_conditional", self), self.steps)

        run.train(net, Stage("field", learn.reconstruct, net.autoencoder.parameters(), self.field_share, 1.5 * self.lr),
                  Stage("diffuse", learn.diffuse, [*net.encoder.parameters(), *net.denoiser.parameters()],
                        1 - self.field_share, self.lr, model=model))
        return model()


class SparseConditionalLosses(LatentLosses):
    """What is measured before training, and the loss of a training step i."""

    def reconstruct(self, i: int) -> Tensor:
        """Error of decoded latents at query points, more of them where the function changes; quadratic below SHARPNESS,
        linear above, since a jump slightly off its place should cost little."""
        rng = self.run.rng("field", i)
        fields, values = self.batch(self.config.field_batch, "field", i)
        coords = self.run.queries(fields.n, self.config.queries, rng)
        coords, weights = importance_sampled(values, coords, CHANGING, rng)
        latent = self.net.encode(values)
        latent = latent + self.config.jitter * single.randn(latent.shape, generator=rng).to(latent)
        errors = self.net.autoencoder(coords.to(latent), latent) - fields(coords).to(latent)
        return (weights[..., None].to(latent) * (errors.square() + SHARPNESS**2).sqrt()).mean()

    def diffuse(self, i: int) -> Tensor:
        """Denoise the latent given observations of its function."""
        fields, values = self.batch(self.config.batch, "diffuse", i)
        conditioning = self.net.condition(self.run.observe(fields, i).to(self.run.device))
        return self.net.denoiser.training_loss(self.net.encode(values), self.run.rng("diffuse", i), conditioning)


APPROACH = SparseConditional
