"""Karhunen-Loève expansions measured on draws: the best linear answer to any linear measurement, in closed form.

A random function is expanded in the eigenfunctions of its own covariance, f = mean + Σ_j φ_j a_j + residual, with
uncorrelated weights a_j (Karhunen 1947, Loève 1948). Mean, eigenfunctions and residual variance are measured on a grid
from draws; nothing is fitted. Given observations or a noisy latent, Bayes' rule for Gaussian weights gives the answer
of least squared error among linear ones: the posterior itself where functions are Gaussian, and elsewhere where a
network should start.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from ..core import single
from ..core.checks import require
from ..core.grid import cell_centres, interpolate
from ..core.rng import normals, seeded
from ..core.types import LinearObservations, ObservationBatch

LEAST_NOISE = 0.005          # standard deviation of the error of interpolating between the points of the grid
STATISTICS = {1: (128, 40), 2: (48, 112), 3: (16, 96), 4: (8, 96)}       # usual points a side and rank, by dimension
RIDGE = 1e-4                 # of the regression of latents on weights, in units of their variance
OVERSAMPLED = 10             # directions computed beyond those that are kept (randomised singular values)


@dataclass(frozen=True, eq=False)
class WeightPosterior:
    """Gaussian posterior of the weights of b functions in information form: a ~ N(P⁻¹ h, P⁻¹).

    information h (b, r), precision P (b or 1, r, r). Each measurement adds to both, in any order.
    """

    information: Tensor
    precision: Tensor

    @cached_property
    def root(self) -> Tensor:
        """Cholesky factor of the precision, (b or 1, r, r)."""
        return torch.linalg.cholesky(self.precision)

    @cached_property
    def mean(self) -> Tensor:
        """(b, r)."""
        if len(self.precision) == 1:
            return torch.cholesky_solve(self.information.T, self.root[0]).T
        return torch.cholesky_solve(self.information[..., None], self.root)[..., 0]

    def updated(self, rows: Tensor, values: Tensor, variance: Tensor) -> "WeightPosterior":
        """The posterior after a further measurement, values (b, q) = rows a + noise of this variance (q,), (1, q) or
        (b, q); rows (q, r), the same for all, or (b, q, r)."""
        precision = 1 / variance.expand(1, -1) if variance.ndim == 1 else 1 / variance
        weighted = rows.mT * precision[:, None]                                               # (b or 1, r, q)
        new = values @ weighted[0].T if len(weighted) == 1 else (weighted @ values[..., None])[..., 0]
        return WeightPosterior(self.information + new, self.precision + weighted @ rows)

    def predict(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (b, q) and variance (b or 1, q) of rows a, rows (q, r) or (b, q, r)."""
        across = rows.mT.expand(len(self.root), *rows.mT.shape[-2:]) if rows.ndim == 2 or len(self.root) > 1 else \
            rows.mT
        root = self.root.expand(len(across), -1, -1)
        return self.predict_mean(rows), torch.linalg.solve_triangular(root, across, upper=False).square().sum(-2)

    def predict_mean(self, rows: Tensor) -> Tensor:
        """The mean alone, (b, q)."""
        return self.mean @ rows.T if rows.ndim == 2 else (rows @ self.mean[..., None])[..., 0]

    def draw(self, n: int, *, seed: int) -> Tensor:
        """n draws of a − mean, draw i from its own stream, for b = 1: (n, r)."""
        z = normals(seed, n, self.information.shape[1:], "belief").to(self.information)
        return torch.linalg.solve_triangular(self.root[0].T, z.T, upper=True).T


class GaussianExpansion(nn.Module):
    """A Gaussian of functions of c channels over [-1, 1]^d: f = mean + Σ_j φ_j a_j + residual, a ~ N(0, I).

    A subclass has `d`, `c`, `rank`, buffers, the shape `measured` of its grid, and at coords (p, d) or (b, p, d):
    `mean` (1 or b, p, c), `rows` of basis functions φ, (p c, r) or (b, p c, r) with channels fastest, and
    `residual_variance` (1 or b, p, c), white.
    """

    d: int
    c: int
    rank: int
    measured: tuple[int, ...]

    def prior(self, b: int = 1) -> WeightPosterior:
        """The prior of the weights of b functions."""
        like = next(self.buffers())
        return WeightPosterior(like.new_zeros(b, self.rank), single.eye(self.rank).to(like)[None])

    def condition(self, seen: ObservationBatch | LinearObservations) -> WeightPosterior:
        """The posterior of the weights of b functions, each given its own observations, or of one function given linear
        ones."""
        if isinstance(seen, LinearObservations):
            return self._given_linear(seen)
        b = len(seen.coords)
        variance = seen.noise_std.square().reshape(b, 1, 1) + self.residual_variance(seen.coords)
        real = seen.mask[..., None].to(seen.values)
        away = (seen.values - self.mean(seen.coords)) * real
        variance = variance / real.clamp_min(1e-12)                      # padding: infinite noise
        return self.prior(b).updated(self.rows(seen.coords), away.flatten(1), variance.flatten(1))

    def _given_linear(self, seen: LinearObservations) -> WeightPosterior:
        """The posterior given linear observations: their rows are sums of rows at points. White at points, the residual
        is correlated where two measurements share some, so they are decorrelated first."""
        like = next(self.buffers())
        seen = seen.to(like.device, like.dtype)
        rows = seen.measure(self.rows(seen.points).unflatten(0, (-1, self.c)).transpose(0, 1))         # (c, m, r)
        away = seen.values - seen.measure(self.mean(seen.points))[0]
        weighted = seen.weights * self.residual_variance(seen.points)[0].T[:, None]                    # (c, m, q)
        noise = weighted @ seen.weights.T + seen.noise_std**2 * single.eye(seen.m).to(away)
        noise.diagonal().add_(1e-10 + 1e-12 * noise.diagonal().mean())      # measurements may be alike, or weigh 0
        root = torch.linalg.cholesky(noise)
        rows, away = (torch.linalg.solve_triangular(root, part, upper=False) for part in (rows, away.T[..., None]))
        return self.prior().updated(rows.flatten(0, 1), away.flatten()[None], torch.ones_like(away).flatten())

    def predict(self, posterior: WeightPosterior, coords: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (b, p, c) and variance (b or 1, p, c) of the functions at coords, the residual included."""
        mean, variance = posterior.predict(self.rows(coords))
        return (self.mean(coords) + mean.unflatten(-1, (-1, self.c)),
                self.residual_variance(coords) + variance.unflatten(-1, (-1, self.c)))


class KarhunenLoeve(GaussianExpansion):
    """Karhunen-Loève expansion of functions of c channels over [-1, 1]^d: f = mean + Σ_j φ_j a_j + residual.

    a ~ (0, I), so the φ_j carry the eigenvalues. All is measured on `side` points an axis, walls included, and
    interpolated between them. What `rank` directions leave at a point is taken as white, of this variance. Before
    `calibrate` the mean is 0, there are no directions and the variance is 1.
    """

    def __init__(self, d: int, c: int, side: int, rank: int):
        super().__init__()
        require(rank + OVERSAMPLED < c * side**d, must=f"rank: below c·side^d − {OVERSAMPLED}.", came=rank,
                why="There are not more directions than values.", do="A finer side or a smaller rank.")
        self.d, self.c, self.side, self.rank = d, c, side, rank
        for name, channels, value in (("centre", c, 0.0), ("modes", c * rank, 0.0), ("left", c, 1.0)):
            self.register_buffer(name, single.full((1, channels, *[side] * d), value))

    @property
    def measured(self) -> tuple[int, ...]:
        """Points an axis of the grid."""
        return (self.side,) * self.d

    @property
    def places(self) -> Tensor:
        """The points of the grid: (side^d, d)."""
        return cell_centres((self.side,) * self.d) * (self.side / (self.side - 1))

    @torch.no_grad()
    def calibrate(self, draws: Tensor, *, seed: int, iterations: int = 4) -> None:
        """Measure from values (b, side^d, c) of fresh functions at `places`; b well above the rank. More `iterations`
        of the search are slower, and closer to the leading directions."""
        require(len(draws) > 2 * self.rank, must=f"draws: more than twice the rank {self.rank}.", came=draws,
                why="Directions are measured from them.", do="Pass a few thousand.")
        flat = draws.mT.flatten(1).double()
        mean = flat.mean(0)
        with seeded(seed):                                               # the search for directions starts at random
            _, S, V = torch.pca_lowrank((flat - mean).float(), q=self.rank + OVERSAMPLED, center=False,
                                        niter=iterations)
        modes = (V.double() * S / (len(flat) - 1) ** 0.5).T[:self.rank]
        rest = (flat.var(0) - modes.square().sum(0)).clamp_min(0)
        shape = (self.side,) * self.d
        self.centre.copy_(mean.reshape(1, self.c, *shape)), self.left.copy_(rest.reshape(1, self.c, *shape))
        self.modes.copy_(modes.reshape(self.rank, self.c, *shape).transpose(0, 1).flatten(0, 1)[None])

    def truncated(self, rank: int) -> "KarhunenLoeve":
        """The same expansion with fewer directions; the variance of the others joins the residual's."""
        found = KarhunenLoeve(self.d, self.c, self.side, rank).to(self.modes)
        modes = self.modes.unflatten(1, (self.c, self.rank))
        found.centre.copy_(self.centre), found.modes.copy_(modes[:, :, :rank].flatten(1, 2))
        found.left.copy_(self.left + modes[:, :, rank:].square().sum(2))
        return found

    def grid_values(self, weights: Tensor) -> Tensor:
        """mean + Σ_j φ_j a_j on the grid, of weights (n, r): (n, c, *[side]*d)."""
        return self.centre + torch.tensordot(weights, self.modes[0].unflatten(0, (self.c, self.rank)), ([1], [1]))

    def _read(self, grid: Tensor, coords: Tensor) -> Tensor:
        """(b or 1, p, channels); the walls are points of the grid, which `read` takes for cells' centres."""
        shrunk = coords * ((self.side - 1) / self.side)
        if coords.ndim == 3:                                             # own places: one list, read once
            return interpolate(grid, shrunk.flatten(0, 1), self.d < 3)[0].unflatten(0, coords.shape[:2])
        return interpolate(grid, shrunk, self.d < 3)

    def mean(self, coords: Tensor) -> Tensor:
        """coords (p, d) or (b, p, d) -> (1 or b, p, c)."""
        return self._read(self.centre, coords)

    def residual_variance(self, coords: Tensor) -> Tensor:
        """The variance that the directions leave at coords, (1 or b, p, c)."""
        return self._read(self.left, coords).clamp_min(0) + LEAST_NOISE**2

    def rows(self, coords: Tensor) -> Tensor:
        """Basis functions φ at coords (p, d) or (b, p, d): (p c, r) or (b, p c, r), channels fastest."""
        found = self._read(self.modes, coords).unflatten(-1, (self.c, self.rank)).flatten(1, 2)
        return found if coords.ndim == 3 else found[0]

    def weights(self, draws: Tensor) -> Tensor:
        """Posterior mean (b, r) of the weights of functions whose values (b, side^d, c) at `places` are known."""
        places = self.places.to(draws)
        away = (draws - self.mean(places)).flatten(1)
        return self.prior().updated(self.rows(places), away, self.residual_variance(places).flatten()).mean


class LatentMeasurement(nn.Module):
    """A latent z of k numbers as a linear measurement of the weights a: z = middle + matrix a + e, e uncorrelated of
    variance `own`.

    Of a noisy latent z + σ·noise it gives the best linear estimate of z, given the weights' posterior.
    """

    def __init__(self, k: int, rank: int):
        super().__init__()
        for name, start in (("middle", single.zeros(k)), ("matrix", single.zeros(k, rank)), ("own", single.ones(k))):
            self.register_buffer(name, start)

    @torch.no_grad()
    def calibrate(self, weights: Tensor, latents: Tensor) -> None:
        """Regress latents (b, k) on weights a (b, r) of the same functions. A small ridge silences directions that hold
        next to no variance, whose weights are all but unknown."""
        a, z = weights.double(), latents.double()
        middle, mean = z.mean(0), a.mean(0)
        a = a - mean
        found = torch.linalg.solve(a.T @ a + RIDGE * len(a) * single.eye(a.shape[1]).to(a), a.T @ (z - middle))
        own = (z - middle - a @ found).square().sum(0) / max(1, len(z) - a.shape[1] - 1)
        self.middle.copy_(middle - mean @ found), self.matrix.copy_(found.T), self.own.copy_(own.clamp_min(1e-6))

    def condition(self, posterior: WeightPosterior, noisy: Tensor,
                  sigma: Tensor) -> tuple[WeightPosterior, Tensor, Tensor]:
        """Given noisy latents (n, k) at sigma () or (n,) and the weights' posterior (of each function, or of one that
        all stand for): the posterior given both, and mean and std, (n, k) and (n or 1, k), of the clean latent."""
        variance = torch.as_tensor(sigma, dtype=noisy.dtype, device=noisy.device).reshape(-1, 1).square()
        posterior = posterior.updated(self.matrix, noisy - self.middle, self.own + variance)
        expected, open_ = posterior.predict(self.matrix)
        share = self.own / (self.own + variance)                         # of the deviation that is the latent's own
        clean = self.middle + expected + share * (noisy - self.middle - expected)
        return posterior, clean, ((1 - share).square() * open_ + share * variance).sqrt()


class LatentGaussian(nn.Module):
    """Joint Gaussian of a latent and its field, measured on draws: a denoiser's prior, conditioned on observations.

    `condition` makes a WeightPosterior of observations; given that and the noisy latent x (n, *shape), the call gives
    mean and std of the clean latent. Without a posterior nothing was observed.
    """

    sigma_data = 1.0                     # latents are of unit scale

    def __init__(self, d: int, c: int, side: int, rank: int, shape: tuple[int, ...]):
        super().__init__()
        self.shape = tuple(shape)
        self.expansion = KarhunenLoeve(d, c, side, rank)
        self.measurement = LatentMeasurement(math.prod(shape), rank)

    @property
    def places(self) -> Tensor:
        """Where `calibrate` wants values of functions: (side^d, d)."""
        return self.expansion.places

    @torch.no_grad()
    def calibrate(self, draws: Tensor, latents: Tensor, *, seed: int) -> None:
        """Measure from values (b, side^d, c) of fresh functions at `places`, and their latents (b, *shape)."""
        self.expansion.calibrate(draws, seed=seed)
        self.measurement.calibrate(self.expansion.weights(draws), latents.flatten(1))

    def condition(self, seen: ObservationBatch) -> WeightPosterior:
        """The posterior of the expansion's weights given observations of b functions."""
        return self.expansion.condition(seen)

    def forward(self, x: Tensor, sigma, condition: WeightPosterior | None = None) -> tuple[Tensor, Tensor]:
        """x (n, *shape), sigma () or (n,) -> mean (n, *shape) and std (n or 1, *shape) of the clean latent."""
        posterior = self.expansion.prior() if condition is None else condition
        _, mean, std = self.measurement.condition(posterior, x.flatten(1), torch.as_tensor(sigma, dtype=x.dtype))
        return mean.unflatten(1, self.shape), std.unflatten(1, self.shape)
