"""Latents of frames: a film as k numbers a frame, by principal components or an autoencoder, and what is known of them.

Each frame autoencoder says what observations tell of a film's latents in closed form: as posteriors of the weights of
Karhunen-Loève expansions, one for each component of a mixture, with their log marginal likelihoods. `FrameMixturePrior`
turns these and a noisy latent into the mean and std that the denoiser starts from: Bayes' rule for a mixture of
Gaussians.
"""

from itertools import pairwise
from math import pi, prod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ...core import single, spline
from ...core.grid import cell_centres
from ...core.types import ObservationBatch
from ...diffusion.denoiser import Conditioning
from ...fields.space_time import SpaceTimeField
from ...gaussian.karhunen_loeve import KarhunenLoeve, LatentMeasurement, WeightPosterior, assign_components
from ...latents.gaussian_loss import gaussian_loss
from ...nn.networks import Standardise, refresh

LEAST_OWN = 0.01             # standard deviation of a linear latent's own noise: latents mean nothing finer
LEAST, MOST = 0.03, 0.995    # bounds of the std that a frame's reader may give: MOST is an uninformed reader
HALF_CONFIDENT = 0.1         # of an observation: confidence ½ in a cell


class ComponentPosteriors(NamedTuple):
    """What observations of b films tell of each mixture component: the posterior of its expansion's weights, its log
    weight (b,), and the measurement that a latent is of the weights."""

    measurements: tuple[LatentMeasurement, ...]
    posteriors: tuple[WeightPosterior, ...]
    log_weights: tuple[Tensor, ...]


def log_likelihood(measurement: LatentMeasurement, before: WeightPosterior, after: WeightPosterior, noisy: Tensor,
                   sigma: Tensor | float) -> Tensor:
    """Log density of noisy latents (n, k) under a component, from its weights' posterior before and after them: (n,).

    With D the latents' own variance and r their deviation from the mean, −½(rᵀD⁻¹r + log|2πD| + log|P₁| − log|P₀| −
    h₁ᵀP₁⁻¹h₁ + h₀ᵀP₀⁻¹h₀): the two normalising constants of Bayes' rule. Rasmussen & Williams 2006, eq. 2.30.
    """
    sigma = torch.as_tensor(sigma, dtype=noisy.dtype, device=noisy.device)
    variance = measurement.own + sigma.reshape(-1, 1).square()
    own = ((noisy - measurement.middle).square() / variance + (2 * pi * variance).log()).sum(-1)
    wide = [2 * b.root.diagonal(dim1=-2, dim2=-1).log().sum(-1) for b in (before, after)]
    explained = [(b.information * b.mean).sum(-1) for b in (before, after)]
    return -0.5 * (own + wide[1] - wide[0] - explained[1] + explained[0])


def mixture_moments(known: ComponentPosteriors, noisy: Tensor, sigma: Tensor | float) -> tuple[Tensor, Tensor, Tensor]:
    """Posterior of the clean latents under the mixture, given observations and noisy latents (n, k): mean (n, k), std
    (n or 1, k), and component probabilities (n, components)."""
    sigma = torch.as_tensor(sigma, dtype=noisy.dtype, device=noisy.device)
    means, variances, logs = [], [], []
    for measurement, before, log_weight in zip(known.measurements, known.posteriors, known.log_weights, strict=True):
        after, clean, std = measurement.condition(before, noisy, sigma)
        means.append(clean), variances.append(std.square().expand_as(clean))
        logs.append(log_weight + log_likelihood(measurement, before, after, noisy, sigma))
    probabilities = torch.stack(logs, -1).softmax(-1)                                                # (n, components)
    means, weights = torch.stack(means), probabilities.T[..., None]
    mean = (weights * means).sum(0)
    return mean, (weights * (torch.stack(variances) + (means - mean).square())).sum(0).sqrt(), probabilities


class FrameMixturePrior(nn.Module):
    """Mixture of Gaussians over films' latents, measured on draws: mean and std of the clean latent, given the noisy
    one x (n, k, frames) and `ComponentPosteriors`."""

    sigma_data = 1.0

    def __init__(self, shape: tuple[int, int]):
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor, sigma, condition: ComponentPosteriors) -> tuple[Tensor, Tensor]:
        mean, std, _ = mixture_moments(condition, x.flatten(1), sigma)
        return mean.unflatten(1, self.shape), std.unflatten(1, self.shape)


def noise_in_time(times: Tensor, lengthscale: float) -> Tensor:
    """The symmetric root (T, T) of a covariance of noise over frames at `times` (T,): squared exponential, a tenth
    each frame's own, since smooth noise alone leaves what flickers untouched. Lengthscale 0: the identity."""
    own = single.eye(len(times)).to(times)
    if lengthscale == 0:
        return own
    smooth = torch.exp(-0.5 * ((times[:, None] - times) / lengthscale).square())
    variance, Q = torch.linalg.eigh(0.9 * smooth + 0.1 * own)
    return (Q * variance.sqrt()) @ Q.T


class SplinedExpansion(KarhunenLoeve):
    """A KarhunenLoeve expansion, interpolated between its points by cubic splines."""

    def __init__(self, d: int, c: int, side: int, rank: int):
        super().__init__(d, c, side, rank)
        for name, channels in (("centre", c), ("modes", c * rank), ("left", c)):
            self.register_buffer(f"{name}_table", single.zeros((side + 2) ** d, channels), persistent=False)
        self.register_load_state_dict_post_hook(refresh)

    @torch.no_grad()
    def precompute(self) -> None:
        """Spline coefficients of mean, basis and residual variance."""
        for name in ("centre", "modes", "left"):
            getattr(self, f"{name}_table").copy_(spline.table(getattr(self, name)[0]))

    def _read(self, grid: Tensor, coords: Tensor) -> Tensor:
        name = next(name for name in ("centre", "modes", "left") if getattr(self, name) is grid)
        found = spline.read(getattr(self, f"{name}_table"), coords.reshape(-1, self.d), self.side)
        return found.unflatten(0, coords.shape[:-1]) if coords.ndim == 3 else found[None]


class LinearFrameLatents(nn.Module):
    """Principal components: films of c channels over (t, *space) in [-1, 1]^d -> latents (b, k, frames) of unit scale.

    A frame is sampled on `frame_side` points an axis of space; its latent are its first k principal components, of all
    frames together. Each mixture component has a Karhunen-Loève expansion of its own, in space and time. A field is the
    best linear reconstruction from its latents plus what a SpaceTimeField adds.

    `noise_lengthscale` 0: white noise on latents is noise of each frame's own. Else latents are whitened along time by
    the root of a squared exponential, so that white noise on them is smooth in time on the frames: the same diffusion
    in other coordinates, in which every closed form stays exact.
    """

    def __init__(self, d: int, c: int, side: int, rank: int, frames: int, frame_side: int, k: int,
                 field: SpaceTimeField, components: int = 1, noise_lengthscale: float = 0.0):
        super().__init__()
        self.c, self.k, self.frames = c, k, frames
        self.expansions = nn.ModuleList(SplinedExpansion(d, c, side, rank) for _ in range(components))
        self.measurements = nn.ModuleList(LatentMeasurement(k * frames, rank) for _ in range(components))
        self.field = field
        pixels = c * frame_side ** (d - 1)
        self.register_buffer("component_weights", single.full((components,), 1 / components))
        self.register_buffer("mean", single.zeros(pixels))
        self.register_buffer("basis", single.zeros(k, pixels))
        self.register_buffer("correction_scale", single.ones(()))            # of what the field adds
        self.register_buffer("grid", cell_centres((frames, *[frame_side] * (d - 1))), persistent=False)
        mixing = noise_in_time(cell_centres((frames,), dtype=torch.float64)[:, 0], noise_lengthscale)
        self.register_buffer("mixing", mixing.float(), persistent=False)     # white noise on latents -> noise on frames
        self.register_buffer("whiten", torch.linalg.inv(mixing).float(), persistent=False)

    @property
    def places(self) -> Tensor:
        """Where `calibrate` wants values: (side^d, d)."""
        return self.expansions[0].places

    @torch.no_grad()
    def calibrate(self, draws: Tensor, films: Tensor, *, seed: int) -> None:
        """Measure from the same fresh functions at `places`, draws (b, side^d, c), and at `grid`, films (b,
        frames·frame_side^(d−1), c): principal components, expansions, and how latents follow from the weights."""
        frames = films.unflatten(1, (self.frames, -1)).flatten(2)                            # (b, frames, pixels)
        self.mean.copy_(frames.mean((0, 1)))
        away = (frames - self.mean).flatten(0, 1)
        variance, basis = torch.linalg.eigh((away.T @ away).double() / len(away))
        basis, variance = basis.flip(1)[:, :self.k], variance.flip(0)[:self.k].clamp_min(1e-8)
        self.basis.copy_((basis / variance.sqrt()).T)
        latents = self.encode(films).flatten(1)
        component = torch.zeros(len(draws), dtype=torch.long, device=draws.device)
        if len(self.expansions) > 1:
            component = assign_components(draws.flatten(1), len(self.expansions), seed=seed)
        for j, (expansion, measurement) in enumerate(zip(self.expansions, self.measurements, strict=True)):
            mine = component == j
            self.component_weights[j] = mine.float().mean()
            expansion.calibrate(draws[mine], seed=seed)
            expansion.precompute()
            rows = expansion.rows(self.grid).unflatten(0, (self.frames, -1))                 # (frames, pixels, rank)
            measurement.matrix.copy_(torch.einsum("kn,tnr,ts->ksr", self.basis, rows, self.whiten).flatten(0, 1))
            measurement.middle.copy_(self.encode(expansion.mean(self.grid))[0].flatten())
            explained = measurement.middle + expansion.weights(draws[mine]) @ measurement.matrix.T
            measurement.own.copy_((latents[mine] - explained).square().mean(0).clamp_min(LEAST_OWN**2))

    def encode(self, films: Tensor) -> Tensor:
        """Values (b, frames·frame_side^(d−1), c) at `grid` -> latents (b, k, frames)."""
        frames = films.unflatten(1, (self.frames, -1)).flatten(2)
        return ((frames - self.mean) @ self.basis.T).mT @ self.whiten

    def principal_components(self, latent: Tensor) -> Tensor:
        """Latents (b, k, frames) -> principal components of each frame by itself."""
        return latent @ self.mixing.to(latent)

    def condition(self, seen: ObservationBatch) -> ComponentPosteriors:
        """What observations of b films tell of each mixture component."""
        posteriors, logs = [], []
        for expansion, weight in zip(self.expansions, self.component_weights, strict=True):
            posteriors.append(expansion.condition(seen))
            logs.append(weight.log() + expansion.log_marginal_likelihood(seen, posteriors[-1]))
        return ComponentPosteriors(tuple(self.measurements), tuple(posteriors), tuple(logs))

    def prepare(self, latent: Tensor) -> tuple[Tensor, ...]:
        """What decoding latents computes once: themselves, component probabilities (b, components) from them alone, and
        the mean of each component's weights. The latents of a component are N(middle, A Aᵀ + own)."""
        logs, gains = [], []
        for measurement, share in zip(self.measurements, self.component_weights, strict=True):
            A, own, away = measurement.matrix.double(), measurement.own.double(), latent.flatten(1) - measurement.middle
            root = torch.linalg.cholesky(single.eye(A.shape[1]).to(A) + A.T / own @ A)
            gains.append(torch.cholesky_solve(A.T / own, root).to(latent).contiguous())
            back = torch.linalg.solve_triangular(root, A.T / own, upper=False).to(latent).contiguous()
            constant = (-root.diagonal().log().sum() - own.log().sum() / 2).to(latent)
            explained = (away @ back.T).square().sum(1)
            logs.append(constant + share.log() - 0.5 * ((away.square() / measurement.own).sum(1) - explained))
        return latent, torch.stack(logs, 1).softmax(1), *(
            (latent.flatten(1) - measurement.middle) @ gain.T
            for measurement, gain in zip(self.measurements, gains, strict=True))

    def reconstruct(self, coords: Tensor, prepared: tuple[Tensor, ...]) -> Tensor:
        """Best linear reconstruction from latents alone: coords (p, d) or (b, p, d) -> (b, p, c)."""
        _, probabilities, *weights = prepared
        out = 0
        for j, (expansion, a) in enumerate(zip(self.expansions, weights, strict=True)):
            rows = expansion.rows(coords)
            found = a @ rows.T if rows.ndim == 2 else (rows @ a[..., None])[..., 0]
            out = out + probabilities[:, j, None, None] * (expansion.mean(coords) + found.unflatten(1, (-1, self.c)))
        return out

    def evaluate(self, coords: Tensor, prepared: tuple[Tensor, ...]) -> Tensor:
        """The fields at coords (p, d) or (b, p, d): (b, p, c)."""
        added = self.field(coords, self.principal_components(prepared[0]))
        return self.reconstruct(coords, prepared) + self.correction_scale * added

    def silence(self, part: str) -> bool:
        """Principal components alone from now on, if the part is "field"."""
        if part == "field":
            self.correction_scale.zero_()
        return part == "field"


class NeuralFrameLatents(nn.Module):
    """Autoencoder of frames: films of c channels over (t, *space) in [-1, 1]^d <-> latents (b, k, frames), unit scale.

    Moving shapes are not linear in anything, so principal components would need hundreds of numbers for an edge. A
    reader guesses each frame's latent from its own observations, mean and std, as a noisy measurement would; the
    covariance of whole films' latents then fuses the guesses in closed form.
    """

    def __init__(self, d: int, c: int, frames: int, frame_side: int, k: int, field: SpaceTimeField):
        super().__init__()
        self.c, self.k, self.frames = c, k, frames
        pixels = c * frame_side ** (d - 1)
        self.encoder, self.unit = linear_layers(pixels, 192, 96, k), Standardise(k)
        self.rasterise = Rasterise(d, c, frames, frame_side)
        self.reader = linear_layers(self.rasterise.out, 192, 96, 3 * k)
        self.field = field
        self.measurements = nn.ModuleList([LatentMeasurement(k * frames, k * frames)])
        self.register_buffer("mean", single.zeros(c))                    # the mean value, where nothing was observed
        self.register_buffer("correction_scale", single.ones(()))        # the field is all of the answer
        self.register_buffer("grid", cell_centres((frames, *[frame_side] * (d - 1))), persistent=False)

    def raw(self, films: Tensor) -> Tensor:
        """As `encode`, not yet of unit scale."""
        return self.encoder(films.unflatten(1, (self.frames, -1)).flatten(2)).mT

    def encode(self, films: Tensor, by_batch: bool = False) -> Tensor:
        """Values (b, frames·frame_side^(d−1), c) at `grid` -> latents (b, k, frames); `by_batch`, while the autoencoder
        learns: scaled by the batch's own statistics."""
        return (self.unit.by_batch if by_batch else self.unit)(self.raw(films))

    def read(self, seen: ObservationBatch) -> tuple[Tensor, Tensor]:
        """What each frame's own observations tell of its latent: mean and std, (b, frames, k). Where a frame was seen
        whole the encoder answers; elsewhere the reader guesses; a learned gate weights the two."""
        raster = self.rasterise.with_level(seen)
        values, trust = raster[..., :-1].unflatten(2, (-1, self.c + 1)).tensor_split([self.c], -1)
        gate, guess, wide = self.reader(raster).chunk(3, -1)
        whole = self.unit(self.encoder((values + (1 - trust) * self.mean).flatten(2)).mT).mT
        mean = torch.lerp(guess, whole, torch.sigmoid(gate))
        return mean, LEAST + (MOST - LEAST) * torch.sigmoid(wide)

    def reader_loss(self, seen: ObservationBatch, latent: Tensor) -> Tensor:
        """Gaussian log scores of latents (b, k, frames): of each frame by its own reader, and of all by the fused
        posterior, so that a reader is as sure as its neighbours allow."""
        (mean, std), measurement = self.read(seen), self.measurements[0]
        fused, variance = self.fuse(mean, std).predict(measurement.matrix)
        fused = Conditioning(mean=fused + measurement.middle, std=(variance + measurement.own).sqrt())
        own = Conditioning(mean=mean.mT, std=std.mT)
        return gaussian_loss(latent, own) + gaussian_loss(latent.flatten(1), fused)

    def fuse(self, mean: Tensor, std: Tensor) -> WeightPosterior:
        """The posterior of the weights given readers' guesses (b, frames, k), each as a measurement beyond a prior of
        mean 0 and variance 1."""
        measurement = self.measurements[0]
        A, (mean, std) = measurement.matrix, (x.mT.flatten(1) for x in (mean, std))
        precision = 1 / std.square() - 1 / MOST**2
        blurred = 1 / (1 + measurement.own * precision)                 # by the latent's own noise
        information = (mean / std.square() - precision * measurement.middle) * blurred
        total = single.eye(A.shape[1]).to(A) + A.T @ ((precision * blurred)[..., None] * A)
        return WeightPosterior(information @ A, total)

    @torch.no_grad()
    def calibrate(self, latents: Tensor) -> None:
        """The covariance of whole films' latents (b, k, frames), as a measurement of white weights."""
        flat, measurement = latents.flatten(1).double(), self.measurements[0]
        measurement.middle.copy_(flat.mean(0))
        variance, directions = torch.linalg.eigh(flat.T.cov())
        own = 0.5 * LEAST**2                                            # its own noise is a part of the variance
        measurement.matrix.copy_(directions * (variance - own).clamp_min(0).sqrt())
        measurement.own.fill_(own)

    def condition(self, seen: ObservationBatch) -> ComponentPosteriors:
        """What observations of b films tell, by the readers."""
        posterior = self.fuse(*self.read(seen))
        nothing = posterior.information.new_zeros(len(posterior.information))
        return ComponentPosteriors(tuple(self.measurements), (posterior,), (nothing,))

    def prepare(self, latent: Tensor) -> tuple[Tensor, ...]:
        return (latent,)

    def evaluate(self, coords: Tensor, prepared: tuple[Tensor, ...]) -> Tensor:
        """The fields at coords (p, d) or (b, p, d): (b, p, c)."""
        return self.mean + self.field(coords, prepared[0])


def linear_layers(*sizes: int) -> nn.Sequential:
    """Linear layers with SiLU between them."""
    return nn.Sequential(*[part for pair in pairwise(sizes) for part in (nn.Linear(*pair), nn.SiLU())][:-1])


class Rasterise(nn.Module):
    """ObservationBatch over (t, *space) -> (b, frames, cells^(d−1)·(c + 1)): for each cell the mean of nearby
    observations and its confidence, 0 without observations, near 1 with one.

    An observation is distributed over the 2^d nearest cell centres by linear weights (cloud in cell, Birdsall & Langdon
    1985, ch. 2); one on a centre counts there alone.
    """

    def __init__(self, d: int, c: int, frames: int, cells: int):
        super().__init__()
        self.d, self.c, self.shape = d, c, (frames, *[cells] * (d - 1))
        self.out = (c + 1) * cells ** (d - 1) + 1
        corners = torch.cartesian_prod(*[torch.tensor([0, 1])] * d).reshape(-1, d)
        self.register_buffer("corners", corners, persistent=False)

    def weights(self, coords: Tensor) -> tuple[Tensor, Tensor]:
        """Cells near coords (m, d) and their weights: (m, 2^d) each; weights sum to one."""
        sizes = torch.tensor(self.shape, device=coords.device)
        place = torch.minimum(((coords + 1) / 2 * sizes - 0.5).clamp_min(0), sizes - 1.0)
        low = torch.minimum(place.floor(), (sizes - 2.0).clamp_min(0))
        share = (place - low)[..., None, :]
        weights = torch.where(self.corners.bool(), share, 1 - share).prod(-1)
        corner = torch.minimum(low[..., None, :] + self.corners, sizes - 1.0).long()
        strides = torch.tensor([prod(self.shape[axis + 1:]) for axis in range(self.d)], device=coords.device)
        return (corner * strides).sum(-1), weights

    @torch.no_grad()
    def forward(self, seen: ObservationBatch) -> Tensor:
        b, c, many = len(seen.coords), self.c, torch.Size(self.shape).numel()
        index, weights = self.weights(seen.coords[seen.mask])           # of real observations alone
        index = index + many * torch.arange(b, device=index.device)[:, None].expand(seen.mask.shape)[seen.mask][:, None]
        values = torch.cat([seen.values[seen.mask], torch.ones_like(index[:, :1])], -1)[:, None] * weights[..., None]
        index, values = index.flatten(), values.flatten(0, 1)
        cells = torch.stack([torch.bincount(index, x, b * many) for x in values.unbind(-1)], -1).unflatten(0, (b, many))
        trust = cells[..., c:] / (cells[..., c:] + HALF_CONFIDENT)
        mean = cells[..., :c] / cells[..., c:].clamp_min(1e-6)
        return torch.cat([mean * trust, trust], -1).reshape(b, self.shape[0], -1).to(seen.values)

    def with_level(self, seen: ObservationBatch) -> Tensor:
        """The same, and the log noise level, 0 in frames without observations: (b, frames, out)."""
        raster, level = self(seen), seen.noise_std.clamp_min(1e-3).log().reshape(-1, 1, 1) / 3 + 1
        return torch.cat([raster, level * (raster != 0).any(-1, keepdim=True)], -1)
