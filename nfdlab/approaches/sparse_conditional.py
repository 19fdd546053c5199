"""Approach 5: sparse observations -> encoder -> conditional diffusion of a local latent -> neural field.

Three networks. An *autoencoder* represents a field by a latent, a few numbers on each cell of a coarse grid. An
*observation encoder* turns any set of observations into features on the same cells and a Gaussian over the latent. A
*denoiser* samples the latent, conditioned on the features. The field is decoded from latent and features near the
query, so one draw is one function at any resolution.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..core.config import NetworkConfig
from ..core.types import Budget, Card, Fields, ObservationBatch, Source, Views, Watch, quiet
from ..diffusion.denoiser import Conditioning, Denoiser
from ..gaussian.karhunen_loeve import STATISTICS, LatentGaussian
from ..inference.posterior import AutoencoderNetwork, LatentPosterior
from ..latents.autoencoder import Autoencoder, GridLatent
from ..latents.observation_encoder import GridObservationEncoder, closed_form_estimates, gaussian_loss
from ..latents.two_stage import LatentLosses
from ..nn.networks import ConvNet
from ..training import Run, Stage


class SparseConditionalNetwork(AutoencoderNetwork):
    """Autoencoder, observation encoder and denoiser. Shapes: latent (b, k, *cells), features (b, width, *cells)."""

    amortised = True

    def __init__(self, config: "SparseConditional", d: int, c: int):
        super().__init__()
        cells, w, grid_latent = config.cells, config.width, config.autoencoder == "grid"
        self.side = side = cells * config.points_per_cell
        k = c * config.points_per_cell**d if grid_latent else config.latent_channels
        self.shape = (k, *[cells] * d)
        self.autoencoder = GridLatent(d, c, side, cells, w, w, config.octaves) if grid_latent else \
            Autoencoder(d, c, side, cells, k, w, w, config.octaves, config.autoencoder == "linear")
        self.encoder = GridObservationEncoder(
            d, c, cells=cells, side=side, latent_channels=k, width=w, setconv_widths=config.setconv_widths,
            dilations=config.encoder_dilations, estimates=closed_form_estimates(config, d, c),
            direct=config.autoencoder == "linear" and config.estimates == "gp_channels")
        prior = None if config.prior == "white" else LatentGaussian(d, c, *STATISTICS[d], self.shape)
        self.denoiser = Denoiser(ConvNet(d, k, w, w, config.denoiser_dilations), prior)

    def condition(self, observations: ObservationBatch) -> Conditioning:
        """Features of the observations, and either the encoder's Gaussian over the latent or the measured one's
        posterior."""
        return self.conditioned(self.encoder(observations, self.autoencoder.unit), observations)


@dataclass(frozen=True)
class SparseConditional(NetworkConfig):
    """Config of approach 5. None chooses by dimension."""

    card: ClassVar[Card] = Card(
        5, "Sparse conditional field",
        "encode the observations as a set, diffuse a local latent conditioned on them, decode a field",
        "Gordon et al. 2020 (SetConv); Karras et al. 2022 (diffusion); Chen et al. 2021 (local field); "
        "Mardani et al. 2023 (residual)",
        "fast, calibrated answers for any number and layout of observations like those it was trained on",
        "amortised: layouts, noise levels or kinds of function outside training are answered with misplaced confidence")
    trained: ClassVar[type] = LatentPosterior
    network: ClassVar[type] = SparseConditionalNetwork
    choices: ClassVar[dict] = {"autoencoder": ("linear", "convolutional", "grid"),
                               "estimates": ("gp_channels", "gp_ensemble", "none")}
    usual: ClassVar[dict] = {"cells": {1: 32, 2: 16, 3: 8}, "points_per_cell": {1: 4, 2: 2, 3: 2}}

    # "white": diffuse the standardised residual of the encoder's Gaussian; "gaussian": a Gaussian measured on draws
    prior: str = "white"
    cells: int | None = None                 # cells a side of the latent: 32 in 1D, 16 in 2D, 8 in 3D
    points_per_cell: int | None = None  # points of the training grid per cell and axis, a power of two: 4 in 1D, else 2
    latent_channels: int = 4                 # numbers per cell; a "grid" autoencoder has one per point and channel
    autoencoder: str = "linear"  # "linear", "convolutional", or "grid": the training grid itself is the latent
    # closed-form estimates beside SetConv: "gp_channels", "gp_ensemble" (for a "grid" autoencoder) or "none"
    estimates: str = "gp_channels"
    # their Matérn kernels, pairs (smoothness, lengthscale)
    kernels: tuple[tuple[float, float], ...] = ((2.5, 0.1), (2.5, 0.3), (2.5, 0.9))
    offset_std: float = 0.0  # standard deviation of a constant that "gp_channels" assume is added to each field
    width: int = 64                          # channels of all networks
    octaves: int = 3                         # Fourier octaves of the field's local coordinates
    setconv_widths: tuple[float, ...] = (0.7, 2.0, 6.0)  # lengthscales of SetConv, in points of the training grid
    encoder_dilations: tuple[int, ...] = (1, 2, 4, 8, 1, 2, 4, 8)  # dilations of the residual blocks of the encoder
    denoiser_dilations: tuple[int, ...] = (1, 2, 4, 8, 1, 2, 4, 1)  # dilations of the denoiser
    batch: int = 96                          # functions in a batch
    queries: int = 128                       # query points of each function in a training step
    lr: float = 1.5e-3                       # learning rate
    steps: int = 20                          # sampling steps

    def fit(self, source: Source, *, views: Views, budget: Budget, seed: int, device: str = "auto",
            watch: Watch = quiet) -> LatentPosterior:
        """Train on fresh functions, observed as `views` hides them. Cancelled early, it returns what it has."""
        run = Run(source, views, budget, seed, device, watch)
        net = run.build(self)
        learn = SparseConditionalLosses(self, run, net, samples=(8, self.batch))
        if self.autoencoder == "grid":                       # the latent is known: learn the encoder's Gaussian first
            learn.measure()
            first = Stage("encode", learn.encode, net.encoder.parameters(), 0.5, self.lr)
        else:
            first = Stage("autoencode", learn.autoencode, net.autoencoder.parameters(), 0.2, 2e-3, after=learn.measure)
        last = [*net.encoder.parameters(), *net.denoiser.parameters(), *net.autoencoder.decoder.parameters()]
        run.train(net, first, Stage("diffuse", learn.diffuse, last, 1 - first.share, self.lr))
        return LatentPosterior(net, run.record("sparse_conditional", self), self.steps)


class SparseConditionalLosses(LatentLosses):
    """The losses of a training step i."""

    def autoencode(self, i: int) -> Tensor:
        """Stage 1: encode a function, decode it at random queries."""
        fields, values = self.batch(self.config.batch, "auto", i)
        latent = self.net.autoencoder.encode(values, by_batch=True)
        return self.reconstruct(fields, latent, None, self.run.rng("auto", i))

    def observed(self, use: str, i: int) -> tuple[Fields, Tensor, Conditioning]:
        """Functions, their latents, and the conditioning by their observations."""
        fields, values = self.batch(self.config.batch, use, i)
        with torch.no_grad():
            latent = self.net.encode(values)
        return fields, latent, self.net.condition(self.run.observe(fields, i).to(self.run.device))

    def encode(self, i: int) -> Tensor:
        """The encoder's Gaussian alone."""
        _, latent, conditioning = self.observed("listen", i)
        return gaussian_loss(latent, conditioning, by_function=True)

    def diffuse(self, i: int) -> Tensor:
        """Stage 2: denoise the latent given observations; encoder and decoder learn along."""
        fields, latent, conditioning = self.observed("diffuse", i)
        rng = self.run.rng("diffuse", i)
        loss = self.net.denoiser.training_loss(conditioning.residual(latent).detach(), rng, conditioning)
        if self.config.prior == "white":
            loss = loss + gaussian_loss(latent, conditioning, by_function=self.config.autoencoder == "grid")
        return loss + self.reconstruct(fields, latent, conditioning.features[0], rng)

    def reconstruct(self, fields: Fields, latent: Tensor, features: Tensor | None, rng: torch.Generator) -> Tensor:
        """Mean squared error of decoded latents, slightly noised, at random queries."""
        coords = self.run.queries(len(latent), self.config.queries, rng)
        truth = fields(coords).to(self.run.device)
        latent = latent + 0.05 * torch.randn(latent.shape, generator=rng).to(latent)
        return (self.net.autoencoder(coords.to(latent), latent, features) - truth).square().mean()


APPROACH = SparseConditional
