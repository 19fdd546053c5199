"""Functions known at a lattice: a U-Net denoises their values there, a neural field reads between its points.

Noise is added to the function itself, at the points of a *lattice*. The *denoiser* is a U-Net on the lattice; a *field*
reads its features at any query, so that it says what the clean function is there, D(q | x, sigma, observations). A
sampler takes the lattice from noise to data; then any query asks the last lattice.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..core import single
from ..core.checks import require
from ..core.config import NetworkConfig
from ..core.grid import between_points, cell_centres, grid_values, interpolate, to_grid
from ..core.types import Fields, Fitted, ObservationBatch
from ..diffusion.denoiser import Conditioning, DenoiseFn, Denoiser, GaussianPrior, like, stratified_normals
from ..diffusion.noise import LatticeNoise
from ..encoders.grid_channels import SetConv
from ..fields.liif import LIIF
from ..gaussian.karhunen_loeve import STATISTICS, LatentGaussian
from ..latents.two_stage import LatentLosses
from ..nn.networks import GridEncoder, Standardise, depth_to_space, space_to_depth, zeroed
from ..nn.unet import UNet
from ..training import Stage
from .posterior import LatentNetwork, LatentPosterior

LEAST_OPEN = 1e-3    # of what a linear reading leaves open between lattice points, in standard deviations


@dataclass(frozen=True)
class LatticeConfig(NetworkConfig):
    """Knobs of a LatticeNetwork and its training. None chooses by dimension."""

    usual: ClassVar[dict] = {"cells": {1: 32, 2: 16, 3: 8}, "points_per_cell": {1: 2, 2: 2, 3: 2}}

    prior: str = "white"                     # or "gaussian", measured on draws and conditioned on the observations
    cells: int | None = None                 # cells a side on which the U-Net works: 32 in 1D, 16 in 2D, 8 in 3D
    points_per_cell: int | None = None       # lattice points per cell and axis, a power of two: 2
    # correlation length of the noise along each axis, in units of the box; 0: white at the lattice
    noise_lengthscale: float = 0.0
    setconv_widths: tuple[float, ...] = (0.7, 2.0, 6.0)  # lengthscales of SetConv, in lattice points
    encoder_width: int = 32                  # channels of the observations' encoder on the cells
    widths: tuple[int, ...] = (48, 64)       # channels of the U-Net on the cells, on half of them, ...
    depth: int = 2                           # its residual blocks on each, on the way down and again on the way up
    memory: int = 16                         # features on each cell that the field reads
    field_width: int = 24                    # channels of the field
    octaves: int = 3                         # Fourier octaves of its local coordinates
    gaussian_rank: int = 0                   # directions of the Gaussian of lattice values that guides use; 0: none
    unconditional_share: float = 0.2         # share of training functions whose observations are dropped
    batch: int = 64                          # functions in a batch
    queries: int = 64                        # free points of each function in a training step, beside the lattice
    lr: float = 2e-3                         # learning rate
    steps: int = 20                          # sampling steps

    def __post_init__(self):
        super().__post_init__()
        require(self.prior == "white" or self.noise_lengthscale == 0, came=self.noise_lengthscale,
                must='noise_lengthscale: 0, with prior="gaussian".',
                why="The measured Gaussian is conditioned on white noise at the lattice.",
                do='prior="white" takes noise of any lengthscale.')


class LatticeUNet(nn.Module):
    """F at the lattice, and features for the field that reads between its points: a U-Net on cells of some points."""

    def __init__(self, d: int, c: int, per_cell: int, features: int, widths: tuple[int, ...], depth: int, memory: int):
        super().__init__()
        self.c, self.per_cell, self.k = c, per_cell, c * per_cell**d
        self.unet = UNet(d, self.k, features + per_cell**d, widths, depth, out=self.k + memory)

    def both(self, x: Tensor, level: Tensor, features: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """x (b, c, *side) scaled, level (b or 1,), features (b or 1, w, *cells), known (b or 1, 1, *side), 0 where x is
        not known -> F (b, c, *side), and the field's features (b, memory, *cells)."""
        cells = features.shape[2]
        mask = space_to_depth(known, cells).expand(len(features), -1, *features.shape[2:])
        out = self.unet(space_to_depth(known * x, cells), level, torch.cat([features, mask], 1))
        return depth_to_space(out[:, :self.k], self.c, self.per_cell), out[:, self.k:]

    def forward(self, x: Tensor, level: Tensor, features: Tensor, known: Tensor) -> Tensor:
        return self.both(x, level, features, known)[0]


class LatticeDenoiser(LatentNetwork):
    """Denoiser of functions known at a lattice, and the field that reads it at any query, given features on the cells.

    A latent z (b, c, *side) stands for a function's values at the lattice, x = L z at unit scale, where the noise has
    covariance L Lᵀ: so noise of a latent is white, and a sampler need not know of L. `conditioning.features` are
    features (b or 1, w, *cells), and where the noisy functions are known (b or 1, 1, *side).
    """

    def __init__(self, config, d: int, c: int, features: int, prior: nn.Module | None, lengthscale: float = 0.0):
        super().__init__()
        cells, r = config.cells, config.points_per_cell
        self.side, self.cells = cells * r, cells
        self.shape = (c, *[self.side] * d)
        self.unit, self.noise = Standardise(c), LatticeNoise(self.side, lengthscale)
        self.denoiser = Denoiser(LatticeUNet(d, c, r, features, config.widths, config.depth, config.memory), prior)
        self.field = LIIF(d, config.memory, c, config.field_width, config.octaves)
        self.register_buffer("open", single.ones(c))       # error of a linear reading, in standard deviations
        self.silence("field")

    def silence(self, part: str) -> bool:
        """Linear reading of the lattice alone from now on, if the part is "field"."""
        if part == "field":
            zeroed(self.field.answer[-1])
        return part == "field"

    def raw(self, values: Tensor) -> Tensor:
        """Values at the lattice as they are."""
        return values

    def rescale(self, values: Tensor) -> None:
        """Set the scale to that of the values."""
        self.unit.calibrate(values)

    def encode(self, values: Tensor) -> Tensor:
        """Values at the lattice (n, c, *side) -> latents."""
        return self.noise.whiten(self.unit(values))

    def at_lattice(self, x: Tensor, sigma, conditioning: Conditioning) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Noisy x (b, c, *side) of unit scale at sigma () or (b,) -> prior mean and std, F, the field's features."""
        mean, std = self.denoiser.prior(x, sigma, conditioning.prior)
        s = like(sigma, x)
        F, memory = self.denoiser.net.both(x / (1 + s**2).sqrt(), s.log().reshape(-1) / 4, *conditioning.features)
        std = torch.as_tensor(std, dtype=x.dtype, device=x.device).expand(len(F), *self.shape)
        return (mean, std, 0 * F, 0 * memory) if self.denoiser.silent else (mean, std, F, memory)

    def between(self, coords: Tensor) -> Tensor:
        """The scale of what the field adds at coords (…, d): 0 at the lattice, most halfway between its points."""
        return between_points(coords, self.side) * self.open

    def given(self, conditioning: Conditioning) -> DenoiseFn:
        """D(z, sigma) of latents, for a conditioning: their noise is white, that of the function at the lattice L."""
        D, noise = super().given(conditioning), self.noise
        return D if noise.white else lambda z, sigma: noise.whiten(D(noise.colour(z), sigma))

    def prepare(self, latent: Tensor, conditioning: Conditioning, sigma=None) -> tuple[Tensor, ...]:
        """Noisy latents at sigma, by default the lowest, for all queries: D at the lattice and the field's features."""
        sigma = self.denoiser.noise_levels.low if sigma is None else sigma
        mean, std, F, memory = self.at_lattice(self.noise.colour(latent), sigma, conditioning)
        return mean + std * F, self.field.project(memory)

    def evaluate(self, coords: Tensor, prepared: tuple[Tensor, ...]) -> Tensor:
        clean, projected = prepared
        added = self.between(coords) * self.field.read(coords, projected, (self.cells,) * (clean.ndim - 2))
        return self.unit.restore((interpolate(clean, coords) + added).mT).mT

    def loss(self, x: Tensor, sigma: Tensor, conditioning: Conditioning, coords: Tensor, values: Tensor, real: Tensor,
             clean: Tensor | None) -> Tensor:
        """Denoising loss, weighted by 1/std² (Karras et al. 2022, eq. 8), of noisy x (b, c, *side) at sigma (b,): at
        the lattice if `clean` values are known there, and at coords (b, p, d) where `real` (b, p), of unit scale."""
        mean, std, F, memory = self.at_lattice(x, sigma, conditioning)
        open_ = self.between(coords)
        scale = (interpolate(std, coords).square() + open_.square()).sqrt()
        found = interpolate(mean + std * F, coords) + open_ * self.field(coords, memory)
        loss = ((found - values) / scale)[real].square().mean()
        return loss if clean is None else loss + (F - (clean - mean) / std).square().mean()


class LatticeNetwork(LatticeDenoiser):
    """A lattice denoiser that is conditioned on observations at points."""

    amortised = True

    def __init__(self, config: "LatticeConfig", d: int, c: int):
        cells, r, w = config.cells, config.points_per_cell, config.encoder_width
        side = cells * r
        white = config.prior == "white"
        prior = None if white else LatentGaussian(d, c, *STATISTICS[d], (c, *[side] * d))
        super().__init__(config, d, c, w, prior, config.noise_lengthscale)
        self.setconv = SetConv(d, c, side, config.setconv_widths)
        self.encoder = GridEncoder(d, self.setconv.channels, side, cells, w, w, dilations=(1,))
        if config.gaussian_rank:
            self.gaussian = GaussianPrior(math.prod(self.shape), rank=config.gaussian_rank)

    def grid_values(self, functions: Fields | ObservationBatch) -> Tensor:
        """Functions at the lattice, (n, c, *side); of functions known by points, averages of those nearest to each
        lattice point, and those of wider surroundings where there are none."""
        return grid_values(functions, self.side) if not isinstance(functions, ObservationBatch) else \
            binned(functions, self.side)[0]

    def condition(self, observations: ObservationBatch, known: Tensor | None = None) -> Conditioning:
        """Features of the observations; where the prior is a measured Gaussian, also its posterior. `known`
        (b or 1, 1, *side) is 0 where noisy functions are not known."""
        features = self.encoder(self.setconv(observations))
        known = features.new_ones(1, 1, *self.shape[1:]) if known is None else known
        return self.conditioned(Conditioning((features, known)), observations)


def binned(points: ObservationBatch, side: int) -> tuple[Tensor, Tensor]:
    """Scattered points -> values on a lattice (b, c, *[side]*d), and which are known (b, 1, *[side]*d).

    A lattice point's value is the mean of those in its cell; the others are filled by averages of ever wider cells.
    """
    b, _, d = points.coords.shape
    values, filled, known = torch.cat([points.values, torch.ones_like(points.values[..., :1])], -1), None, None
    values = values * points.mask[..., None]
    while True:
        cell = ((points.coords + 1) * (side / 2)).long().clamp(0, side - 1)
        index = sum(cell[..., a] * side ** (d - 1 - a) for a in range(d))[..., None].expand(values.shape)
        total = values.new_zeros(b, side**d, values.shape[2]).scatter_add_(1, index, values)
        total = to_grid(total, (side,) * d).movedim(-1, 1)
        mean, there = total[:, :-1] / total[:, -1:].clamp_min(1), total[:, -1:] > 0
        if filled is None:
            filled, known = mean, there
            missing = ~there
        else:
            wide = known.shape[2] // side
            for axis in range(2, 2 + d):
                mean, there = (t.repeat_interleave(wide, axis) for t in (mean, there))
            filled, missing = torch.where(missing & there, mean, filled), missing & ~there
        if side % 2 or not missing.any():
            return filled, known.to(filled)
        side //= 2


class LatticePosterior(LatentPosterior):
    """A trained LatticeNetwork. What diffuses is z (n, c, *side), the noisy functions at the lattice, made white."""

    @property
    def lattice(self) -> Tensor:
        """Where noisy functions are known: (N, d)."""
        return cell_centres(self.net.shape[1:])

    @torch.no_grad()
    def encode(self, fields: Fields) -> Tensor:
        """Fields -> their latents (n, c, *side)."""
        return self.net.encode(self.net.grid_values(fields).to(self.device))


class LatticeLosses(LatentLosses):
    """What is measured before training, and the loss of a training step i."""

    def measure(self) -> None:
        """The scale, noise levels and Gaussians of functions at the lattice; what a linear reading leaves open."""
        super().measure()
        errors = self.errors("open") / self.net.unit.std
        self.net.open.copy_(errors.square().mean((0, 1)).sqrt().clamp_min(LEAST_OPEN))

    @torch.no_grad()
    def errors(self, use: str) -> Tensor:
        """Errors (128, p, c) of a linear reading of functions' values at the lattice, at other points."""
        functions, values = self.batch(128, use)
        points = self.run.points(functions, self.config.queries, use).to(self.run.device)
        return (interpolate(values, points.coords) - points.values) * points.mask[..., None]

    def stages(self, model: Callable[[], Fitted]) -> tuple[Stage]:
        """Measure, then denoise; there is a `model` to draw from all the time."""
        self.measure()
        return (Stage("denoise", self.denoise, self.net.parameters(), 1.0, self.config.lr, model=model),)

    def denoise(self, i: int) -> Tensor:
        """Denoise functions, at the lattice and at free points, given observations or, at times, none."""
        config, net, run, rng = self.config, self.net, self.run, self.run.rng("denoise", i)
        functions, clean = self.batch(config.batch, i)
        points = run.points(functions, config.queries, i).to(run.device)
        seen = run.observe(functions, i).dropped(config.unconditional_share, rng).to(run.device)
        known = binned(points, net.side)[1] if run.scattered else None
        clean = net.unit(clean)
        sigma = net.denoiser.noise_levels.for_training(stratified_normals(len(clean), rng)).to(clean.device)
        noise = net.noise.colour(single.randn(clean.shape, generator=rng).to(clean.device))
        return net.loss(clean + like(sigma, clean) * noise, sigma, net.condition(seen, known), points.coords,
                        net.unit(points.values.mT).mT, points.mask, None if run.scattered else clean)
