"""Approach 6: sparse frames -> video diffusion over the latents of frames -> a field in space and time.

An *autoencoder* turns each frame into a latent: the values at the points of a lattice, gathered by cell, or one learned
vector. A *video denoiser* draws the latents of all frames together, conditioned on what was observed at any moment and
place: blocks within each frame, and attention between the frames. A *field* in space and time reads the latents at any
moment, between two frames too, so the frame rate is chosen when one asks. The last step of a draw may move its latents
a little, until the field meets the observations.
"""

from dataclasses import dataclass, replace
from math import prod
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..core import single
from ..core.checks import require_count
from ..core.config import NetworkConfig
from ..core.fields import EvaluatedFields
from ..core.grid import between_points, cell_centres, interpolate, take, to_grid
from ..core.types import Budget, Card, Fields, ObservationBatch, Observations, Source, Views, Watch, quiet
from ..diffusion.denoiser import Conditioning, Denoiser, GaussianPrior
from ..encoders.grid_channels import CellMeans
from ..fields.in_time import around, between
from ..fields.liif import LIIF
from ..fields.pieces import in_pieces
from ..gaussian.channels import CosineChannels
from ..gaussian.karhunen_loeve import STATISTICS, LatentGaussian
from ..inference.posterior import AutoencoderNetwork, AutoencoderPosterior, DecoderError
from ..inference.tiling import Tiles
from ..latents.autoencoder import VectorAutoencoder
from ..latents.importance_sampling import importance_sampled
from ..latents.two_stage import LatentLosses
from ..nn.networks import CONV, ConvBlock, GridEncoder, Standardise, depth_to_space, space_to_depth, zeroed
from ..nn.video import FrameEncoder, VideoUNet, by_film, by_frame
from ..training import Run, Stage, reused

VECTOR_CELLS = 4                         # cells a side to which observations of a frame are halved for a vector
LONGEST = 1024                           # numbers in a film's latents whose covariance is kept
LATE = 1 << 20                           # number of the first late training step, so that its films are fresh
ROUNDING = 1e-4                          # of times in a window, beyond its ends


class LatticeFrames(nn.Module):
    """Films (b, c, frames, *side) <-> latents (b, k, frames, *cells), the values at the points of each frame's lattice,
    gathered by cell. Between points and frames the field is linear, plus what a LIIF adds there."""

    def __init__(self, d: int, c: int, config: "TemporalField"):
        super().__init__()
        self.c, self.side, self.per_cell, width = c, config.cells, config.points_per_cell, config.field_width
        self.cells = (config.frames, *[config.cells] * (d - 1))
        self.points = (config.frames, *[config.cells * self.per_cell] * (d - 1))
        k = c * self.per_cell ** (d - 1)
        self.shape, self.unit = (k, *self.cells), Standardise(k)
        self.input, self.block = CONV[d - 1](3 * k, width, 3, padding=1), ConvBlock(d - 1, width)
        self.field = LIIF(d, width, c, width, config.octaves)
        self.silence("field")

    def encoder(self, films: Tensor) -> Tensor:
        """Latents, not yet of unit scale."""
        return by_film(space_to_depth(by_frame(films), self.side), len(films))

    def encode(self, films: Tensor) -> Tensor:
        """Latents of unit scale."""
        return self.unit(self.encoder(films))

    def rescale(self, raw: Tensor) -> None:
        """Set the scale to that of raw latents."""
        self.unit.calibrate(raw)

    def prepare(self, latent: Tensor) -> tuple[Tensor, ...]:
        """Values on the lattice of the film, and the field's features, made of each frame and its two neighbours."""
        film = by_film(depth_to_space(by_frame(self.unit.restore(latent)), self.c, self.per_cell), len(latent))
        before, after = latent[:, :, :1], latent[:, :, -1:]
        three = torch.cat([before, latent[:, :, :-1], latent, latent[:, :, 1:], after], 2).chunk(3, 2)
        memory = by_film(self.block(self.input(by_frame(torch.cat(three, 1)))), len(latent))
        return film, self.field.project(memory)

    def evaluate(self, coords: Tensor, prepared: tuple[Tensor, ...]) -> Tensor:
        film, projected = prepared
        added = between_points(coords, self.points) * self.field.read(coords, projected, self.cells)
        return interpolate(film, coords) + added

    def silence(self, part: str) -> bool:
        """Linear between points and frames from now on, if the part is "field"."""
        if part == "field":
            zeroed(self.field.answer[-1])
        return part == "field"


class VectorFrames(nn.Module):
    """Films (b, c, frames, *side) <-> latents (b, k, frames), one learned vector a frame. The field decodes the vector
    at any moment: cubic between the frames, plus a learned correction."""

    def __init__(self, d: int, c: int, config: "TemporalField"):
        super().__init__()
        k, side, width = config.latent_channels, config.frame_side, config.field_width
        self.c, self.points, self.shape = c, (config.frames, *[side] * (d - 1)), (k, config.frames)
        self.frame = VectorAutoencoder(d - 1, c, side, k, width, config.field_depth, config.sharpness)
        self.move = nn.Sequential(nn.Linear(4 * k + 2, width), nn.SiLU(), zeroed(nn.Linear(width, k)))

    def encoder(self, films: Tensor) -> Tensor:
        """Latents, not yet of unit scale."""
        return by_film(self.frame.encoder(by_frame(films)), len(films))

    def encode(self, films: Tensor) -> Tensor:
        """Latents of unit scale."""
        return self.frame.unit(self.encoder(films))

    def rescale(self, raw: Tensor) -> None:
        """Set the scale to that of raw latents, and adapt the field so that it decodes them as before."""
        self.frame.rescale(by_frame(raw))

    def at(self, latent: Tensor, times: Tensor) -> Tensor:
        """The latent at times (p,) or (b, p): (b, p, k)."""
        four, share = around(latent, times)
        middle, std = between(four, share), self.frame.unit.std      # the correction knows nothing of latents' scale
        where = torch.stack([share - 0.5, share * (1 - share)], -1).expand(*middle.shape[:2], 2)
        return middle + self.move(torch.cat([(std * (four - middle[..., None, :])).flatten(2), where], -1)) / std

    def prepare(self, latent: Tensor) -> tuple[Tensor, ...]:
        return (latent,)

    def evaluate(self, coords: Tensor, prepared: tuple[Tensor, ...]) -> Tensor:
        field, (latent,) = self.frame.field, prepared
        if coords.ndim == 3:                                       # each film its own moments
            now = field.condition(self.at(latent, coords[..., 0]))
            return field.answer(field.place(coords[..., 1:]) + now)
        times, index = coords[:, 0].unique(return_inverse=True)
        now = field.condition(self.at(latent, times))              # of each moment once
        places = torch.cat([coords[:, 1:], index[:, None].to(coords)], 1)
        return in_pieces(lambda at: (field.place(at[..., :-1]), at[..., -1:].long()),
                         lambda placed, of: field.answer(placed[0] + take(of[0], placed[1][0])[:, :, 0]),
                         places, (now,), now.shape[2])


class TemporalNetwork(AutoencoderNetwork):
    """Frame autoencoder, observations' encoder, and video denoiser. Latents: (k, frames, *cells) or (k, frames)."""

    amortised = True

    def __init__(self, config: "TemporalField", d: int, c: int):
        super().__init__()
        vector, w, side = config.frame_autoencoder == "vector", config.encoder_width, config.frame_side
        self.autoencoder = (VectorFrames if vector else LatticeFrames)(d, c, config)
        self.shape = self.autoencoder.shape
        grid, rank = (config.frames, *[side] * (d - 1)), config.gaussian_rank
        self.cell_means = CellMeans(d, c, grid)
        channels = self.cell_means.channels
        if rank:
            self.gaussian_channels = CosineChannels(d, c, rank, grid, self.autoencoder.points)
            channels += self.gaussian_channels.channels
        self.encoder = FrameEncoder(
            d - 1, channels, 1 + self.shape[0], side, min(VECTOR_CELLS, side), w, config.encoder_depth, config.frames,
        ) if vector else GridEncoder(d - 1, channels, side, config.cells, w, w, dilations=(1,))
        white, size = config.prior == "white", prod(self.shape)
        self.gaussian = GaussianPrior(size) if white and size <= LONGEST else None
        prior = None if white else LatentGaussian(d, c, *STATISTICS[d], self.shape)
        space = 0 if vector else d - 1
        widths = config.widths if space else config.widths[:1]
        given = w + (self.shape[0] if rank else 0)
        self.denoiser = Denoiser(VideoUNet(space, self.shape[0], given, widths, config.depth, config.frames), prior)

    def grid_values(self, fields: Fields) -> Tensor:
        """Films at the points of all frames, (n, c, frames, *side)."""
        shape = self.autoencoder.points
        return to_grid(fields(cell_centres(shape)), shape).movedim(-1, 1)

    @torch.no_grad()
    def channels(self, observations: ObservationBatch) -> tuple[Tensor, ...]:
        """Observations as channels of each frame, (b frames, k, *sides), with what a measured Gaussian makes of them;
        where latents are vectors, also those of frames that were seen whole, (b frames, 1 + k), 0 of others. Last, the
        latents of the Gaussian's mean, (b, k or 0, frames, *cells)."""
        means, best = self.cell_means(observations), None
        channels = [means]
        if self.gaussian_channels is not None:
            gaussian, mean = self.gaussian_channels(observations)
            channels.append(gaussian)
            best = self.encode(mean)
        found = [by_frame(torch.cat(channels, 1))]
        if isinstance(self.autoencoder, VectorFrames):
            whole = (means[:, :1] > 0).reshape(len(means), 1, means.shape[2], -1).all(3)         # (b, 1, frames)
            latent = self.encode(means[:, 1:1 + self.autoencoder.c]) * whole
            found.append(by_frame(torch.cat([whole.to(latent), latent], 1)))
        return (*found, means.new_zeros(len(means), 0, *self.shape[1:]) if best is None else best)

    def condition(self, observations: ObservationBatch, channels: tuple | None = None) -> Conditioning:
        """Features of the observations at each frame (b, w, frames, *cells), of their `channels` if there are any yet;
        where the prior is a measured Gaussian, also its posterior."""
        *channels, best = self.channels(observations) if channels is None else channels
        features = by_film(self.encoder(*channels), len(observations.coords))
        return self.conditioned(Conditioning((torch.cat([features, best], 1),)), observations)


@dataclass(frozen=True, eq=False)
class TemporalPosterior(AutoencoderPosterior):
    """A trained approach 6."""

    @torch.no_grad()
    def long(self, seen: Observations | None, n: int, films: int, *, seed: int, steps: int | None = None,
             blended: bool = True) -> EvaluatedFields:
        """n films `films` times as long as those of the training, as Fields whose time [-1, 1] stands for all of it;
        what was seen is placed so too. Windows, each half a film after the last, are conditioned on what they show and
        blended at every step; not `blended`, each is drawn by itself."""
        steps = self.request(n, seed=seed, steps=steps, sampler="dpmpp")
        d, c, films = self.about["d"], self.about["c"], require_count(films, "films")
        windows = Tiles(self.net.shape[1:], (films, *[1] * (len(self.net.shape) - 2)))
        starts = [start[0] / self.net.shape[1] for start in windows.starts]                        # in films
        seen, parts = Observations.none(d, c) if self.accepted(seen) is None or seen.m == 0 else seen, []
        for start in starts:
            coords = seen.coords.clone()
            coords[:, 0] = (coords[:, 0] + 1) * films - 2 * start - 1
            inside = coords[:, 0].abs() <= 1 + ROUNDING
            parts.append(replace(seen.take(inside), coords=coords[inside].clamp(-1, 1)))
        given = self.net.condition(ObservationBatch.of([part for part in parts for _ in range(n)]).to(self.device))
        x = windows.sampled(self.denoiser(given), n, self.net.shape[0], self.sigmas(steps), seed=seed, use="long",
                            blended=blended)
        space = [1] * (d - 1)
        return Tiles((self.net.shape[1], *space), (films, *space)).joined(self.decode(x, given), n, blended)


@dataclass(frozen=True)
class TemporalField(NetworkConfig):
    """Config of approach 6. None chooses by dimension; the first coordinate is time, cut into `frames`."""

    card: ClassVar[Card] = Card(
        6, "Temporal field",
        "one latent a frame, drawn together by video diffusion given what was observed; a field reads any moment",
        "Ho et al. 2022 (video diffusion); Voleti et al. 2022 (MCVD); Du et al. 2024 (CoNFiLD); Chen et al. 2022 "
        "(VideoINR); Bardsley et al. 2014 (randomise-then-optimise)",
        "films with missing frames, sensors that report over time, forecasts; any frame rate, a draw is one film",
        "what is faster than the frames is lost; a lattice costs as much as the film, a vector holds one simple shape")
    trained: ClassVar[type] = TemporalPosterior
    network: ClassVar[type] = TemporalNetwork
    choices: ClassVar[dict] = {"frame_autoencoder": ("lattice", "vector")}
    usual: ClassVar[dict] = {"cells": {1: 1, 2: 16, 3: 8, 4: 4}, "points_per_cell": {1: 1, 2: 2, 3: 4, 4: 2},
                             "frame_side": {1: 1, 2: 32, 3: 16, 4: 8}}

    prior: str = "white"                     # or "gaussian", measured on draws and conditioned on the observations
    frames: int = 16                         # frames of a film
    # "lattice": values at points, gathered by cell; "vector": one learned vector a frame
    frame_autoencoder: str = "lattice"
    cells: int | None = None                 # cells a side of a frame's lattice: 1 in t alone, 16 in (t, x), 8, 4
    points_per_cell: int | None = None       # its points per cell and axis: 1, 2, 4, 2
    latent_channels: int = 6                 # numbers in the vector of a frame
    # points a side of the observations' channels, and of the frames that a vector is made of: 1, 32, 16, 8
    frame_side: int | None = None
    # cosines of a Gaussian measured on draws, whose posterior mean and std are shown to the networks; 0: none
    gaussian_rank: int = 0
    encoder_width: int = 32                  # channels of the observations' encoder
    encoder_depth: int = 2                   # its blocks with attention among the frames, if these are vectors
    # channels of the video denoiser on the cells, on half of them, ...; of a vector the first alone counts
    widths: tuple[int, ...] = (48, 64)
    depth: int = 2                           # its residual blocks on each, on the way down and again on the way up
    field_width: int = 24                    # channels of the field
    field_depth: int = 3                     # layers of the field of a vector
    sharpness: float = 16.0                  # factor on the first weights of that field; large for sharp edges
    octaves: int = 3                         # Fourier octaves of the field of a lattice
    jitter: float = 0.01                     # standard deviation of the noise on latents while the field learns
    frame_noise: float = 0.0                 # at most so much noise on the frames that are encoded then
    importance_share: float = 0.5            # share of the query points drawn where the film changes
    field_share: float = 0.05                # share of the budget for the field
    field_batch: int = 16                    # films in a batch of the field
    batch: int = 16                          # films in a batch of the denoiser
    reuse: int = 2                           # denoising steps on one batch of films and observations
    noise_draws: int = 1                     # how often each film of a batch is noised for a step
    # noise levels in training, ln sigma ~ N(ln median, width²); None: those that fit the films' own spread
    noise_levels: tuple[float, float] | None = None
    # those of the last part of the training, if not None: low, since seen frames leave little open
    late_levels: tuple[float, float] | None = (0.4, 1.8)
    late_share: float = 0.2                  # share of the denoiser's budget for that part
    queries: int = 192                       # query points of each film in a training step of the field
    lr: float = 1.5e-3                       # learning rate
    refine: float = 0.0                      # how far a draw's latent may move to meet the observations; 0: not at all
    steps: int = 12                          # sampling steps
    guide: str = "encoder"                   # how observations enter
    num_particles: int = 256                 # particles, where they are the guide

    def fit(self, source: Source, *, views: Views, budget: Budget, seed: int, device: str = "auto",
            watch: Watch = quiet) -> TemporalPosterior:
        """Train on fresh films, observed as `views` hides them. Cancelled early, it returns what it has."""
        run = Run(source, views, budget, seed, device, watch)
        net = run.build(self)
        learn = TemporalLosses(self, run, net, samples=(16, 16))
        net.rescale(learn.sampled(net.raw, "first"))
        batch, weights = reused(learn.observed, self.reuse), [*net.encoder.parameters(), *net.denoiser.parameters()]
        rest, late = 1 - self.field_share, self.late_share if self.late_levels else 0.0

        def model() -> TemporalPosterior:
            return TemporalPosterior(net, run.record("temporal_field", self, **DecoderError.record(learn.errors())),
                                     self.steps)

        stages = [Stage("field", learn.reconstruct, net.autoencoder.parameters(), self.field_share, 2 * self.lr,
                        after=learn.measure),
                  Stage("diffuse", lambda i: learn.diffuse(i, *batch(i)), weights, rest * (1 - late), self.lr,
                        after=learn.lower, model=model)]
        if late:
            stages.append(Stage("diffuse late", lambda i: learn.diffuse(LATE + i, *batch(LATE + i)), weights,
                                rest * late, self.lr / 2, model=model))
        run.train(net, *stages)
        return model()


class TemporalLosses(LatentLosses):
    """The losses of a training step i, and what is measured before the second stage."""

    def measure(self) -> None:
        super().measure()
        if self.config.noise_levels:
            self.net.denoiser.noise_levels.train_at(*self.config.noise_levels)

    def lower(self) -> None:
        """Before the last stage: its noise levels."""
        if self.config.late_levels:
            self.net.denoiser.noise_levels.train_at(*self.config.late_levels)

    def reconstruct(self, i: int) -> Tensor:
        """Stage 1: encode films, decode them at query points, many of which lie where the film changes."""
        config, rng = self.config, self.run.rng("field", i)
        films, values = self.batch(config.field_batch, "field", i)
        coords = self.run.queries(films.n, config.queries, rng)
        coords, weights = importance_sampled(values, coords, config.importance_share, rng)
        level = config.frame_noise * single.rand(len(values), *[1] * (values.ndim - 1), generator=rng)
        latent = self.net.encode(values + (level * single.randn(values.shape, generator=rng)).to(values))
        latent = latent + config.jitter * single.randn(latent.shape, generator=rng).to(latent)
        errors = self.net.values(coords.to(latent), latent) - films(coords).to(latent)
        return (weights[..., None].to(latent) * errors.square()).mean()

    @torch.no_grad()
    def observed(self, batch: int) -> tuple[Tensor, ObservationBatch, tuple]:
        """Latents of a batch of films, what is observed of them, and its channels."""
        films, values = self.batch(self.config.batch, "diffuse", batch)
        seen = self.run.observe(films, batch).to(self.run.device)
        return self.net.encode(values), seen, self.net.channels(seen)

    def diffuse(self, i: int, latent: Tensor, seen: ObservationBatch, channels: tuple) -> Tensor:
        """Stage 2: denoise the latents of all frames given observations of the film."""
        rng, given = self.run.rng("noise", i), self.net.condition(seen, channels)
        losses = [self.net.denoiser.training_loss(latent, rng, given) for _ in range(self.config.noise_draws)]
        return torch.stack(losses).mean()

    @torch.no_grad()
    def errors(self) -> Tensor:
        """Errors of 64 decoded films at random points."""
        films, values = self.batch(64, "floor")
        coords, latent = self.run.queries(64, self.config.queries, self.run.rng("floor")), self.net.encode(values)
        return self.net.values(coords.to(latent), latent) - films(coords).to(latent)


APPROACH = TemporalField
