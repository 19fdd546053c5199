"""Approach 9: one shared field modulated by a latent; diffusion over the latents.

A single SIREN represents all functions; a latent shifts (and scales) its sines and so selects the function. Latents
come from an *encoder*, a network or a few steps of gradient descent (CAVIA). A *denoiser* samples them, conditioned on
the features of an *observation encoder*. So observations enter in two ways: by conditioning the denoiser (guide
"encoder"), or through the field's likelihood, by sequential Monte Carlo ("particles") or guidance. Where functions have
a few parameters the latent is one vector; where they have hundreds it is a vector on each cell of a grid, interpolated
at the query.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from ...core.checks import require
from ...core.config import NetworkConfig
from ...core.fields import EvaluatedFields
from ...core.grid import cell_centres, grid_values
from ...core.rng import child
from ...core.types import Budget, Card, Fields, ObservationBatch, Source, Views, Watch, quiet
from ...diffusion.denoiser import NOTHING, Conditioning, Denoiser, GaussianPrior
from ...diffusion.interpolation import cross
from ...fields.siren import ModulatedSiren
from ...gaussian.karhunen_loeve import STATISTICS, LatentGaussian
from ...inference.posterior import LatentNetwork, LatentPosterior
from ...latents.autoencoder import field_encoder
from ...latents.observation_encoder import (
    GridObservationEncoder,
    VectorObservationEncoder,
    closed_form_estimates,
    gaussian_loss,
)
from ...latents.two_stage import LatentLosses
from ...nn.networks import MLP, ConvNet, Standardise
from ...training import Run, Stage
from .meta_learning import MetaLearnedEncoder

USUAL = {"vector": (("convolutional", "meta_learned"), {1: 8, 2: 4, 3: 4}, {1: 16, 2: 8, 3: 4}),
         "grid": (("linear", "convolutional"), {1: 32, 2: 16, 3: 8}, {1: 4, 2: 2, 3: 2})}    # encoders, cells, points
FEATURES = 256                  # of the observations, for a vector latent
SHARPNESS = 0.03                # errors of the field count quadratically below it, linearly above: a jump slightly off
                                # its place should cost little


class ModulatedFieldNetwork(LatentNetwork):
    """Shared field, encoder, observation encoder and denoiser. Shape of a latent: (k,), or (k, *cells)."""

    amortised = True

    def __init__(self, config: "ModulatedField", d: int, c: int):
        super().__init__()
        cells, w, encoder, vector = config.cells, config.width, config.encoder, config.latent == "vector"
        self.vector, self.meta_learned = vector, encoder == "meta_learned"
        self.side = side = cells * config.points_per_cell
        k = config.vector_size if vector else config.latent_channels
        self.shape = (k,) if vector else (k, *[cells] * d)
        self.field = ModulatedSiren(d, k, c, config.field_width, config.field_depth, config.omega,
                                    config.modulate == "shift_and_scale")
        self.register_buffer("grid", cell_centres((side,) * d), persistent=False)
        self.encoder = MetaLearnedEncoder(k, config.inner_steps, config.inner_lr) if self.meta_learned else \
            field_encoder("vector" if vector else encoder, d, c, side, cells, k, w)
        self.unit = Standardise(k)
        sizes = {"cells": cells, "side": side, "latent_channels": k, "width": w,
                 "setconv_widths": config.setconv_widths, "dilations": config.encoder_dilations}
        self.observation_encoder = \
            VectorObservationEncoder(d, c, least_std=config.least_std, features=FEATURES, **sizes) if vector else \
            GridObservationEncoder(d, c, estimates=closed_form_estimates(config, d, c), direct=encoder == "linear",
                                   **sizes)
        self.gaussian = GaussianPrior(k) if vector else None
        prior = None if config.prior == "white" else LatentGaussian(d, c, *STATISTICS[d], self.shape)
        self.denoiser = Denoiser(MLP(k, *config.denoiser_layers, FEATURES) if vector else
                                 ConvNet(d, k, w, w, config.denoiser_dilations), prior)

    def grid_values(self, fields: Fields) -> Tensor:
        """Fields at the points of the encoder's grid: (n, c, *[side]*d)."""
        return grid_values(fields, self.side).to(self.grid.device)

    def raw(self, values: Tensor, inner_steps: int | None = None, learn: bool = False) -> Tensor:
        """Values on the grid (b, c, *[side]*d) -> latents at the encoder's own scale."""
        return self.encoder(self.field, self.grid, values.flatten(2).mT, inner_steps, learn) if self.meta_learned else \
            self.encoder(values)

    def encode(self, values: Tensor, inner_steps: int | None = None) -> Tensor:
        """Values on the grid (b, c, *[side]*d) -> latents (b, *shape) of unit scale."""
        return self.unit(self.raw(values, inner_steps))

    def rescale(self, raw: Tensor) -> None:
        """Set the scale to that of raw latents."""
        self.unit.calibrate(raw)

    def modulation(self, latent: Tensor) -> Tensor:
        """Latents of unit scale as the field was trained on them: meta-learned ones have a scale of their own."""
        return self.unit.restore(latent) if self.meta_learned else latent

    def condition(self, observations: ObservationBatch) -> Conditioning:
        """Features of the observations, and either the encoder's Gaussian over the latent or the measured one's
        posterior."""
        found = self.observation_encoder(observations)
        return self.conditioned(found, observations)

    def prepare(self, latent: Tensor, conditioning: Conditioning = NOTHING) -> tuple[Tensor, ...]:
        return (self.modulation(latent),)

    def evaluate(self, coords: Tensor, prepared: tuple[Tensor, ...]) -> Tensor:
        return self.field(coords, prepared[0])


class ModulatedFieldPosterior(LatentPosterior):
    """A trained approach 9."""

    @property
    def depth(self) -> int:
        """Layers of sines of the shared field."""
        return len(self.net.field.siren.sines)

    @torch.no_grad()
    def encode(self, fields: Fields, inner_steps: int | None = None) -> Tensor:
        """Fields -> their latents (n, *shape) of unit scale. A meta-learned encoder makes `inner_steps` steps, by
        default as many as in training."""
        return self.net.encode(self.net.grid_values(fields), inner_steps)

    def mix_styles(self, shallow: Tensor, deep: Tensor, layer: int) -> EvaluatedFields:
        """Style mixing: Fields whose first `layer` layers are modulated by latents `shallow` (n, *shape) of unit scale,
        the others by `deep`. Karras et al. 2019, sec. 3.1."""
        field, (a, b) = self.net.field, (self.net.modulation(latent) for latent in (shallow, deep))

        def rule(coords: Tensor, part: slice | Tensor) -> Tensor:
            first, last = field.local(coords, a[part]), field.local(coords, b[part])
            return field.with_shifts(coords, torch.cat([first[..., :layer, :], last[..., layer:, :]], -2))

        return self.evaluated(rule, len(shallow), field.width * (1 if self.net.vector else 8))

    def cross(self, a: Tensor, b: Tensor, t: Tensor, way: str = "bridge", steps: int = 40) -> Tensor:
        """Interpolation between latents a and b (*shape) of unit scale: latents (n, *shape) at t (n,), from 0 to 1.
        `way` is "straight", "spherical", or "bridge" by `steps` noise levels of the prior's denoiser."""
        prior = self.unconditional
        a, b = (prior.residual(latent[None])[0] for latent in (a, b))
        return prior.latent(cross(way, a, b, t.to(self.device), self.denoiser(), self.sigmas(steps)))


@dataclass(frozen=True)
class ModulatedField(NetworkConfig):
    """Config of approach 9. None chooses by dimension."""

    card: ClassVar[Card] = Card(
        9, "Modulated field",
        "one shared field whose sines a latent shifts; diffuse the latents, conditioned on observations or guided",
        "Dupont et al. 2022 (functa); Bauer et al. 2023 (spatial functa); Zintgraf et al. 2019 (CAVIA)",
        "families of curves with a few parameters: sharp draws, a thousand a second, styles that can be crossed",
        "a vector holds few numbers; fields with hundreds of degrees of freedom need latents on a grid")
    trained: ClassVar[type] = ModulatedFieldPosterior
    network: ClassVar[type] = ModulatedFieldNetwork
    choices: ClassVar[dict] = {
        "latent": ("vector", "grid"), "encoder": ("convolutional", "linear", "meta_learned"),
        "modulate": ("shift", "shift_and_scale"), "estimates": ("gp_channels", "mixture", "none")}

    # "white": diffuse the standardised residual of the encoder's Gaussian; "gaussian": a Gaussian measured on draws
    prior: str = "white"
    latent: str | None = None  # one "vector" for the whole function, as in 1D, or a "grid" of cells, as in 2D and 3D
    vector_size: int = 16                    # numbers in a "vector" latent
    latent_channels: int = 4                 # numbers per cell of a "grid" latent
    # cells a side of a "grid": 32 in 1D, 16 in 2D, 8 in 3D; of the encoders' last map for a "vector": 8 in 1D, else 4
    cells: int | None = None
    # points of the encoders' grid per cell and axis, a power of two: 4, 2, 2 by dimension; for a "vector" 16, 8, 4
    points_per_cell: int | None = None
    # of fields: "linear", for a "grid" only and its usual; "convolutional"; "meta_learned", for a "vector" only
    encoder: str | None = None
    inner_steps: int = 3                     # steps of gradient descent of a "meta_learned" encoder
    inner_lr: float = 1.0                    # size of these steps at first; it is learned
    field_width: int = 128                   # width of the shared field
    field_depth: int = 4                     # layers of sines of the shared field
    omega: float = 15.0  # highest initial frequency of the shared field, in radians per unit of the box
    modulate: str = "shift_and_scale"        # what a latent does to the sines: "shift" or "shift_and_scale"
    jitter: float = 0.03                     # standard deviation of the noise on latents while the field learns
    width: int = 48                          # channels of encoders and convolutional denoiser
    setconv_widths: tuple[float, ...] = (0.7, 2.0, 6.0)  # lengthscales of SetConv, in points of the encoders' grid
    encoder_dilations: tuple[int, ...] = (1, 2, 4, 1)  # dilations of the residual blocks of the observation encoder
    denoiser_dilations: tuple[int, ...] = (1, 2, 4, 8, 1, 2, 4, 1)  # dilations of the denoiser of a "grid"
    denoiser_layers: tuple[int, int] = (192, 3)  # width and depth of the denoiser of a "vector"
    # closed-form estimates beside SetConv for a "grid": "gp_channels", a "mixture" of measured Gaussians, or "none"
    estimates: str = "gp_channels"
    # Matérn kernels of "gp_channels", pairs (smoothness, lengthscale)
    kernels: tuple[tuple[float, float], ...] = ((2.5, 0.1), (2.5, 0.3), (2.5, 0.9))
    offset_std: float = 0.0  # standard deviation of a constant that "gp_channels" assume is added to each field
    mixture_components: int = 3              # components of the "mixture"
    mixture_rank: int = 128                  # rank of the covariance of each component of the "mixture"
    # least std that the observation encoder gives to a "vector"; if small, residuals are long where it errs
    least_std: float = 0.01
    unconditional_share: float = 0.25  # share of the training functions of which the denoiser is given no observations
    field_share: float = 0.5                 # share of the budget for field and encoder
    batch: int = 32                          # functions in a batch of the field
    diffusion_batch: int = 128               # functions in a batch of the denoiser
    noise_draws: int = 4                     # how often each latent of a batch is noised
    queries: int = 64                        # query points of each function in a training step
    lr: float = 1e-3                         # learning rate of the field; the denoiser's is 1.5 times as large
    steps: int = 20                          # sampling steps
    guide: str = "encoder"                   # how observations enter a draw
    num_particles: int = 256                 # particles of the guide "particles"

    def at(self, d: int) -> "ModulatedField":
        """The same config with what is usual for None in d dimensions; an encoder that does not go with the latent is
        refused."""
        latent = self.latent or ("vector" if d == 1 else "grid")
        encoders, cells, points = USUAL[latent]
        require(self.encoder in (None, *encoders), must=f"encoder: one of {encoders} with a {latent} latent.",
                came=self.encoder, why="A vector has no linear encoder here; a latent on a grid is interpolated, and "
                "meta-learning needs its second derivative.", do=f"encoder={encoders[0]!r}, or the other latent.")
        return replace(self, latent=latent, encoder=self.encoder or encoders[0], cells=self.cells or cells[d],
                       points_per_cell=self.points_per_cell or points[d])

    def fit(self, source: Source, *, views: Views, budget: Budget, seed: int, device: str = "auto",
            watch: Watch = quiet) -> ModulatedFieldPosterior:
        """Train on fresh functions, observed as `views` hides them. Cancelled early, it returns what it has."""
        run = Run(source, views, budget, seed, device, watch)
        net = run.build(self)
        learn = ModulatedFieldLosses(self, run, net, samples=(16, self.batch))
        learn.measure_mixture()
        run.train(net, Stage("field", learn.modulate, [*net.field.parameters(), *net.encoder.parameters()],
                             self.field_share, self.lr, after=learn.measure),
                  Stage("diffuse", learn.diffuse, [*net.observation_encoder.parameters(), *net.denoiser.parameters()],
                        1 - self.field_share, 1.5 * self.lr))
        return ModulatedFieldPosterior(net, run.record("modulated_field", self, floor=learn.floor()), self.steps)


class ModulatedFieldLosses(LatentLosses):
    """The losses of a training step i, and what is measured before and after the stages."""

    def errors(self, fields: Fields, modulation: Tensor, p: int, rng: torch.Generator) -> Tensor:
        """The field's errors at p random query points of each function: (b, p, c)."""
        coords = self.run.queries(len(modulation), p, rng)
        return self.net.field(coords.to(modulation), modulation) - fields(coords).to(modulation)

    def modulate(self, i: int) -> Tensor:
        """Stage 1: encode functions, render them by the shared field at random queries."""
        fields, values = self.batch(self.config.batch, "field", i)
        raw, rng = self.net.raw(values, learn=True), self.run.rng("field", i)
        if not self.net.meta_learned:
            raw = self.net.unit.by_batch(raw)
            raw = raw + self.config.jitter * torch.randn(raw.shape, generator=rng).to(raw)
        return (self.errors(fields, raw, self.config.queries, rng).square() + SHARPNESS**2).sqrt().mean()

    @torch.no_grad()
    def measure_mixture(self) -> None:
        """The components of the mixture of Gaussians, if observations are encoded by one."""
        if self.config.estimates == "mixture" and not self.net.vector:
            mixture = self.net.observation_encoder.estimates
            draws = [self.run.functions(1024, "kinds", j)(mixture.places.cpu()) for j in range(self.run.few(8))]
            mixture.calibrate(torch.cat(draws).to(self.run.device), seed=child(self.run.seed, "kinds"))

    def diffuse(self, i: int) -> Tensor:
        """Stage 2: denoise latents given observations of their functions; each latent is noised several times."""
        fields, values = self.batch(self.config.diffusion_batch, "diffuse", i)
        rng = self.run.rng("diffuse", i)
        with torch.no_grad():
            latent = self.net.encode(values)
        observations = self.run.observe(fields, i).dropped(self.config.unconditional_share, rng)
        conditioning = self.net.condition(observations.to(self.run.device))
        clean, times = conditioning.residual(latent).detach(), self.config.noise_draws
        loss = sum(self.net.denoiser.training_loss(clean, rng, conditioning) for _ in range(times)) / times
        return loss + gaussian_loss(latent, conditioning) if self.config.prior == "white" else loss

    @torch.no_grad()
    def floor(self) -> float:
        """The field's typical error as a standard deviation: by the median, since the root mean square is set by the
        few points at jumps."""
        fields, values = self.batch(128, "floor")
        modulation = self.net.modulation(self.net.encode(values))
        return float(self.errors(fields, modulation, 256, self.run.rng("floor")).abs().median() / 0.6745)


APPROACH = ModulatedField
