"""Approach 6: sparse frames -> diffusion over the latents of frames -> a field in space and time.

A film becomes one latent a frame, and diffusion draws all of them together, conditioned on what was observed in some
frames or at a few sensors. A field decodes the latents at any moment, between two frames too, so the frame rate is
chosen when one asks. Each draw is one consistent film, where a single best answer would blend the possible ones.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ...core import single
from ...core.checks import require, require_number
from ...core.config import NetworkConfig
from ...core.fields import EvaluatedFields
from ...core.rng import child
from ...core.types import Budget, Card, Fields, ObservationBatch, Source, Views, Watch, quiet
from ...diffusion.denoiser import Conditioning, Denoiser, ResidualNetwork, like
from ...fields.space_time import SpaceTimeField
from ...inference.posterior import AutoencoderNetwork, AutoencoderPosterior, DecoderError
from ...latents.two_stage import LatentLosses
from ...nn.networks import Fourier, Level, zeroed
from ...nn.set_attention import SetBlock, doubling_lengthscales
from ...training import Run, Stage, reused
from .frame_latents import (
    ComponentPosteriors,
    FrameMixturePrior,
    LinearFrameLatents,
    NeuralFrameLatents,
    Rasterise,
    linear_layers,
)

OCTAVES = 3                              # Fourier octaves of the frames' times
CELLS = 16                               # a side, on which a frame's observations are rasterised for the denoiser
PADDED = 64                              # places are decoded in multiples: products of fewer rows round differently
TOGETHER = 2048                          # functions drawn at a time while expansions are measured


class FrameTransformer(ResidualNetwork):
    """F(x (n, k, frames), sigma, mean, std, features (n or 1, frames, width)) -> (n, k, frames): a transformer over
    frames, each with its time and the features of its observations; attention prefers near frames."""

    def __init__(self, frames: int, k: int, width: int, depth: int, heads: int):
        super().__init__()
        times = (single.arange(frames) + 0.5) * (2 / frames) - 1
        self.register_buffer("times", times[:, None], persistent=False)
        self.level, self.clock = Level(width), Fourier(1, OCTAVES)
        self.input = nn.Linear(3 * k + self.clock.out, width)
        self.blocks = nn.ModuleList(
            SetBlock(width, doubling_lengthscales(heads, 4 / frames), width, ("itself", "unused", "mlp"),
                     affine=True, identity=True, zero_key=True) for _ in range(depth))
        self.output = nn.Sequential(nn.LayerNorm(width), zeroed(nn.Linear(width, k)))

    def forward(self, x: Tensor, sigma, mean: Tensor, std: Tensor, features: Tensor) -> Tensor:
        level = self.level(torch.as_tensor(sigma, dtype=x.dtype, device=x.device).log().reshape(-1) / 4)
        tokens = torch.cat([x / (1 + like(sigma, x)**2).sqrt(), mean, std.log().expand_as(x) / 3], 1).mT
        clock = self.clock(self.times).expand(len(x), -1, -1)
        h = self.input(torch.cat([tokens, clock], -1)) + features
        for block in self.blocks:
            h = block(h, self.times[None], level=level)
        return self.output(h).mT


class TemporalNetwork(AutoencoderNetwork):
    """Frame autoencoder, features of each frame's observations, and denoiser. Shape of a latent: (k, frames)."""

    amortised = True

    def __init__(self, config: "TemporalField", d: int, c: int):
        super().__init__()
        frames, frame_side = config.frames, config.frame_side
        neural, pixels = config.frame_autoencoder == "neural", c * frame_side ** (d - 1)
        k = config.latent_channels if neural else min(config.latent_channels, pixels)
        field = SpaceTimeField(d, k, c, config.field_width, config.field_depth, config.octaves)
        if neural:
            self.autoencoder = NeuralFrameLatents(d, c, frames, frame_side, k, field)
        else:
            self.autoencoder = LinearFrameLatents(d, c, config.expansion_side, config.expansion_rank, frames,
                                                  frame_side, k, field, config.num_components, config.noise_lengthscale)
        self.shape = (k, frames)
        self.rasterise = Rasterise(d, c, frames, CELLS)
        self.features = linear_layers(self.rasterise.out, 2 * config.width, config.width)
        self.denoiser = Denoiser(FrameTransformer(frames, k, config.width, config.depth, config.heads),
                                 None if config.prior == "white" else FrameMixturePrior(self.shape))

    def condition(self, observations: ObservationBatch) -> Conditioning:
        """Features of each frame's observations, and what observations tell of each mixture component."""
        features = self.features(self.rasterise.with_level(observations))
        return Conditioning((features,), self.autoencoder.condition(observations))

    def grid_values(self, fields: Fields) -> Tensor:
        """Films at the points of all frames, (n, frames·frame_side^(d−1), c)."""
        return fields(self.autoencoder.grid.cpu())


class TemporalPosterior(AutoencoderPosterior):
    """A trained approach 6."""

    @torch.no_grad()
    def decode(self, latent: Tensor, conditioning: Conditioning | None = None) -> EvaluatedFields:
        """Latents (n, k, frames) -> Fields; what needs no coordinates is computed once."""
        prepared = self.net.prepare(self.require_latent(latent))

        def rule(coords: Tensor, part: slice | Tensor) -> Tensor:
            p = coords.shape[-2]
            padded = torch.cat([coords, coords[..., -1:, :].expand(*coords.shape[:-2], -p % PADDED, -1)], -2)
            return self.net.evaluate(padded, tuple(t[part] for t in prepared))[:, :p]

        return self.evaluated(rule, len(latent))


@dataclass(frozen=True)
class TemporalField(NetworkConfig):
    """Config of approach 6. None chooses by dimension; the first coordinate is time, cut into `frames`."""

    card: ClassVar[Card] = Card(
        6, "Temporal field",
        "one latent a frame, diffused together, conditioned on the observed frames; a field decodes them at any moment",
        "Du et al. 2024 (CoNFiLD); Chen et al. 2025 (SDIFT); Voleti et al. 2022 (MCVD); Chen et al. 2022 (VideoINR)",
        "films with missing frames, sensors that report over time, forecasts; any frame rate, a draw is one film",
        "a film is as long as those of the training; what is faster than the frames is lost; where shapes move, a "
        "decoder's blur and a bounce in a long gap are what it gets wrong")
    trained: ClassVar[type] = TemporalPosterior
    network: ClassVar[type] = TemporalNetwork
    choices: ClassVar[dict] = {"frame_autoencoder": ("linear", "neural")}
    usual: ClassVar[dict] = {"frame_side": {1: 1, 2: 48, 3: 16}, "expansion_side": {1: 128, 2: 40, 3: 14},
                             "expansion_rank": {1: 40, 2: 112, 3: 96}}

    prior: str = "gaussian"  # "gaussian": a mixture of Gaussians over films' latents, measured on draws; "white": EDM
    frames: int = 16                         # frames of a film
    frame_autoencoder: str = "linear"        # "linear": principal components of a frame; "neural": an autoencoder
    latent_channels: int = 16                # numbers a frame
    num_components: int = 1                  # components of the mixture of films, for a linear autoencoder
    # lengthscale in time of the noise on frames, for a linear autoencoder; 0: each frame has its own
    noise_lengthscale: float = 0.0
    frame_side: int | None = None            # points an axis at which a frame is sampled: 1, 48, 16
    expansion_side: int | None = None        # points an axis of the expansions in space and time: 128, 40, 14
    expansion_rank: int | None = None        # rank of the expansions: 40, 112, 96
    calibration_functions: int = 16384       # functions from which they are measured
    width: int = 96                          # channels of the denoiser
    depth: int = 4                           # blocks of the denoiser
    heads: int = 4                           # attention heads of the denoiser
    field_width: int = 64                    # channels of the space-time field
    field_depth: int = 3                     # layers of the space-time field
    octaves: int = 3                         # Fourier octaves of the field in space
    jitter: float = 0.03                     # noise on latents while a neural autoencoder learns
    frame_noise: float = 0.1                 # at most so much noise on the frames that it encodes then
    field_share: float = 0.3                 # share of the budget for the field
    reader_share: float = 0.1  # share of the budget for the readers of single frames, with a neural autoencoder
    batch: int = 32                          # films in a batch
    reuse: int = 2                           # denoising steps on one batch of observations
    queries: int = 192                       # query points of each film in a training step
    lr: float = 1e-3                         # learning rate
    steps: int = 20                          # sampling steps
    guide: str = "encoder"                   # how observations enter
    num_particles: int = 256                 # particles, where they are the guide

    def __post_init__(self):
        super().__post_init__()
        require_number(self.noise_lengthscale, "noise_lengthscale", 0.0, 1.0)
        require(self.frame_autoencoder == "linear" or not self.noise_lengthscale,
                must='noise_lengthscale: 0 with frame_autoencoder="neural".', came=self.noise_lengthscale,
                why="Smooth noise is a change of linear coordinates.", do='frame_autoencoder="linear".')

    def fit(self, source: Source, *, views: Views, budget: Budget, seed: int, device: str = "auto",
            watch: Watch = quiet) -> TemporalPosterior:
        """Train on fresh functions, observed as `views` hides them. Cancelled early, it returns what it has."""
        run = Run(source, views, budget, seed, device, watch)
        net = run.build(self)
        losses, frames, neural = TemporalLosses(self, run, net), net.autoencoder, self.frame_autoencoder == "neural"
        losses.calibrate()
        batch = reused(losses.observed, self.reuse)
        learned = [*frames.encoder.parameters(), *frames.field.parameters()] if neural else frames.field.parameters()
        stages = [Stage("field", losses.autoencode, learned, self.field_share, 4 * self.lr, after=losses.measure)]
        if neural:
            stages.append(Stage("read", losses.read, frames.reader.parameters(), self.reader_share, 2 * self.lr))
        denoised = [*net.denoiser.parameters(), *net.features.parameters()]
        run.train(net, *stages, Stage("diffuse", lambda i: losses.diffuse(i, *batch(i)), denoised,
                                      1 - sum(s.share for s in stages), self.lr))
        return TemporalPosterior(net, run.record("temporal_field", self, **losses.errors()), self.steps)


class TemporalLosses(LatentLosses):
    """The losses of a training step i, and what is measured around the stages."""

    def error(self, fields: Fields, latent: Tensor, rng: torch.Generator, queries: int | None = None) -> Tensor:
        """Decoded latents minus their films at random queries: (b, q, c)."""
        coords = self.run.queries(len(latent), queries or self.config.queries, rng)
        return self.net.values(coords.to(latent), latent) - fields(coords).to(latent)

    @torch.no_grad()
    def calibrate(self) -> None:
        """Before training: the mean frame, or principal components and expansions, with what they leave."""
        run, config, autoencoder = self.run, self.config, self.net.autoencoder
        if config.frame_autoencoder == "neural":
            autoencoder.mean.copy_(self.batch(256, "statistics")[1].mean((0, 1)))
            return
        places, grid, parts = autoencoder.places.cpu(), autoencoder.grid.cpu(), []
        for j, start in enumerate(range(0, config.calibration_functions, TOGETHER)):
            fields = run.functions(min(TOGETHER, config.calibration_functions - start), "statistics", j)
            parts.append(fields(torch.cat([places, grid])).to(run.device))
        autoencoder.calibrate(*torch.cat(parts).split([len(places), len(grid)], 1), seed=child(run.seed, "statistics"))
        fields, values = self.batch(64, "size")
        left = self.error(fields, autoencoder.encode(values), run.rng("size")).square().mean().sqrt()
        autoencoder.correction_scale.copy_(left)

    def autoencode(self, i: int) -> Tensor:
        """Stage 1: encode films, decode them at random queries."""
        config, autoencoder, rng = self.config, self.net.autoencoder, self.run.rng("field", i)
        fields, values = self.batch(config.batch, "field", i)
        if config.frame_autoencoder == "neural":
            level = config.frame_noise * single.rand(len(values), 1, 1, generator=rng)
            values = values + (level * single.randn(values.shape, generator=rng)).to(values)
            latent = autoencoder.encode(values, by_batch=True)
            latent = latent + config.jitter * single.randn(latent.shape, generator=rng).to(latent)
        else:
            latent = autoencoder.encode(values)
        return self.error(fields, latent, rng).square().mean() / autoencoder.correction_scale**2

    @torch.no_grad()
    def measure(self) -> None:
        """After stage 1: the scale and covariance of neural latents, and the noise levels."""
        autoencoder, neural = self.net.autoencoder, self.config.frame_autoencoder == "neural"
        films = torch.cat([self.batch(256, "range", j)[1] for j in range(self.run.few(16 if neural else 2))])
        if neural:
            autoencoder.unit.calibrate(autoencoder.raw(films))
            autoencoder.calibrate(autoencoder.encode(films))
        self.net.denoiser.noise_levels.calibrate(autoencoder.encode(films))

    def read(self, i: int) -> Tensor:
        """Stage 2 of a neural autoencoder: each frame's latent from its own observations."""
        fields, values = self.batch(self.config.batch, "listen", i)
        with torch.no_grad():
            latent = self.net.encode(values)
        return self.net.autoencoder.reader_loss(self.run.observe(fields, "listen", i).to(self.run.device), latent)

    @torch.no_grad()
    def observed(self, batch: int) -> tuple[Tensor, Tensor, ComponentPosteriors]:
        """Latents of films, their observations as a raster, and what these tell in closed form."""
        fields, values = self.batch(self.config.batch, "diffuse", batch)
        seen = self.run.observe(fields, batch).to(self.run.device)
        return self.net.encode(values), self.net.rasterise.with_level(seen), self.net.autoencoder.condition(seen)

    def diffuse(self, i: int, latent: Tensor, raster: Tensor, known: ComponentPosteriors) -> Tensor:
        """Last stage: denoise the latents given observations."""
        conditioning = Conditioning((self.net.features(raster),), known)
        return self.net.denoiser.training_loss(latent, self.run.rng("diffuse", i), conditioning)

    @torch.no_grad()
    def errors(self) -> dict:
        """How far decoded latents are from fresh films, for `about`."""
        fields, values = self.batch(128, "floor")
        return DecoderError.record(self.error(fields, self.net.encode(values), self.run.rng("floor"), 256))


APPROACH = TemporalField
