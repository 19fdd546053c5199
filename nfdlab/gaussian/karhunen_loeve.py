"""The best linear answer, from two-point statistics alone: where a network should start, and all a Gaussian needs.

A random function is expanded in the eigenfunctions of its own covariance, f = mean + Σ_j φ_j a_j + rest, with
uncorrelated a_j (Karhunen 1947, Loève 1948). Mean, eigenfunctions and rest are measured on a grid from draws, and
nothing is fitted. Any linear measurement of f, observations or a noisy latent, then has a best linear answer in closed form:
Bayes' rule as if the a_j were Gaussian. For Gaussian fields that is the posterior itself; for others it is the answer
of least squared error among linear ones, and what it leaves is what a network has to learn.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from ..core.checks import require
from ..core.grid import cell_centres, interpolate
from ..core.rng import normals, seeded
from ..core.types import ObservationBatch

LEAST_NOISE = 0.005          # a standard deviation: what interpolating between the points of the grid costs
OVERSAMPLED = 10             # directions more than are kept, while they are being found


@dataclass(frozen=True, eq=False)
class WeightPosterior:
    """a ~ N(P⁻¹ h, P⁻¹) of the weights of b functions: information h (b, r), precision P (b or 1, r, r).

    A measurement adds to both, whichever came first.
    """

    information: Tensor
    precision: Tensor

    @cached_property
    def _root(self) -> Tensor:
        return torch.linalg.cholesky(self.precision)

    @cached_property
    def mean(self) -> Tensor:
        """(b, r)."""
        if len(self.precision) == 1:
            return torch.cholesky_solve(self.information.T, self._root[0]).T
        return torch.cholesky_solve(self.information[..., None], self._root)[..., 0]

    def measured(self, rows: Tensor, values: Tensor, variance: Tensor) -> "Belief":
        """Further given values (b, q) = rows a + noise of this variance (q,), (1, q) or (b, q); rows (q, r), the same
        for all, or (b, q, r)."""
        sure = 1 / variance.expand(1, -1) if variance.ndim == 1 else 1 / variance
        smc_path = rows.mT * sure[:, None]                                                     # (b or 1, r, q)
        heard = values @ smc_path[0].T if len(smc_path) == 1 else (smc_path @ values[..., None])[..., 0]
        return WeightPosterior(self.information + heard, self.precision + smc_path @ rows)

    def at(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (b, q) and variance (b or 1, q) of rows a, rows (q, r) or (b, q, r)."""
        across = rows.mT.expand(len(self._root), *rows.mT.shape[-2:]) if rows.ndim == 2 or len(self._root) > 1 else \
            rows.mT
        root = self._root.expand(len(across), -1, -1)
        return self.at_mean(rows), torch.linalg.solve_triangular(root, across, upper=False).square().sum(-2)

    def at_mean(self, rows: Tensor) -> Tensor:
        """The mean alone, which costs little."""
        return self.mean @ rows.T if rows.ndim == 2 else (rows @ self.mean[..., None])[..., 0]

    def draw(self, n: int, *, seed: int) -> Tensor:
        """n draws of a − mean, draw i from its own stream, where b is 1: (n, r)."""
        z = normals(seed, n, self.information.shape[1:], "belief").to(self.information)
        return torch.linalg.solve_triangular(self._root[0].T, z.T, upper=True).T


class KarhunenLoeve(nn.Module):
    """f(x) = mean(x) + Σ_j φ_j(x) a_j + rest(x), a ~ (0, I) (the φ_j carry the eigenvalues), of functions of c
    channels over [-1, 1]^d, measured on `side` points an axis, walls included, and read between them.

    `rest` is the variance that `rank` directions leave at a point; it is taken as white. Fresh, nothing is known: mean
    0, no directions, variance 1.
    """

    def __init__(self, d: int, c: int, side: int, rank: int):
        super().__init__()
        require(rank + OVERSAMPLED < c * side**d, must=f"rank: below c·side^d − {OVERSAMPLED}.", came=rank,
                why="There are not more directions than values.", do="A finer side or a smaller rank.")
        self.d, self.c, self.side, self.rank = d, c, side, rank
        for name, channels, value in (("centre", c, 0.0), ("modes", c * rank, 0.0), ("left", c, 1.0)):
            self.register_buffer(name, torch.full((1, channels, *[side] * d), value))

    @property
    def places(self) -> Tensor:
        """The points of the grid: (side^d, d)."""
        return cell_centres((self.side,) * self.d) * (self.side / (self.side - 1))

    @torch.no_grad()
    def calibrate(self, draws: Tensor, *, seed: int) -> None:
        """Measure from values (b, side^d, c) of fresh functions at `places`; b well above the rank."""
        require(len(draws) > 2 * self.rank, must=f"draws: more than twice the rank {self.rank}.", came=draws,
                why="Directions are measured from them.", do="Pass a few thousand.")
        flat = draws.mT.flatten(1).double()
        mean = flat.mean(0)
        with seeded(seed):                                               # the search for directions starts at random
            _, S, V = torch.pca_lowrank(flat - mean, q=self.rank + OVERSAMPLED, center=False, niter=4)
        modes = (V * S / (len(flat) - 1) ** 0.5).T[:self.rank]
        rest = (flat.var(0) - modes.square().sum(0)).clamp_min(0)
        shape = (self.side,) * self.d
        self.centre.copy_(mean.reshape(1, self.c, *shape)), self.left.copy_(rest.reshape(1, self.c, *shape))
        self.modes.copy_(modes.reshape(self.rank, self.c, *shape).transpose(0, 1).flatten(0, 1)[None])

    def _read(self, grid: Tensor, coords: Tensor) -> Tensor:
        """(b or 1, p, channels); the walls are points of the grid, which `read` takes for cells' centres."""
        shrunk = coords * ((self.side - 1) / self.side)
        if coords.ndim == 3:                                             # own places: one list, read once
            return interpolate(grid, shrunk.flatten(0, 1), self.d < 3)[0].unflatten(0, coords.shape[:2])
        return interpolate(grid, shrunk, self.d < 3)

    def mean(self, coords: Tensor) -> Tensor:
        """coords (p, d) or (b, p, d) -> (1 or b, p, c)."""
        return self._read(self.centre, coords)

    def rest(self, coords: Tensor) -> Tensor:
        """The variance outside the directions, (1 or b, p, c)."""
        return self._read(self.left, coords).clamp_min(0) + LEAST_NOISE**2

    def rows(self, coords: Tensor) -> Tensor:
        """φ at coords (p, d) or (b, p, d): (p c, r) or (b, p c, r), channels fastest."""
        found = self._read(self.modes, coords).unflatten(-1, (self.c, self.rank)).flatten(1, 2)
        return found if coords.ndim == 3 else found[0]

    def prior(self, b: int = 1) -> WeightPosterior:
        """Of b functions of which nothing was seen."""
        like = self.modes
        return WeightPosterior(like.new_zeros(b, self.rank), torch.eye(self.rank).to(like)[None])

    def heard(self, seen: ObservationBatch) -> WeightPosterior:
        """What observations say of b functions, each its own."""
        b = len(seen.coords)
        variance = seen.noise_std.square().reshape(b, 1, 1) + self.rest(seen.coords)
        real = seen.mask[..., None].to(seen.values)
        away = (seen.values - self.mean(seen.coords)) * real
        variance = variance / real.clamp_min(1e-12)                      # padding is noise without end
        return self.prior(b).measured(self.rows(seen.coords), away.flatten(1), variance.flatten(1))

    def evidence(self, seen: ObservationBatch, belief: WeightPosterior) -> Tensor:
        """log N of the values of the observations of b functions, (b,), where `belief` is what they say: `heard(seen)`.

        With D the observations' own variance, −½(rᵀD⁻¹r − hᵀP⁻¹h + log|P| + log|2πD|). Rasmussen & Williams 2006, eq. 2.30.
        """
        real = seen.mask[..., None].to(seen.values)
        variance = seen.noise_std.square().reshape(-1, 1, 1) + self.rest(seen.coords)
        away = (seen.values - self.mean(seen.coords)).square() / variance + (2 * torch.pi * variance).log()
        wide = 2 * belief._root.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        return -0.5 * ((away * real).sum((1, 2)) - (belief.information * belief.mean).sum(-1) + wide)

    def field(self, belief: WeightPosterior, coords: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (b, p, c) and variance (b or 1, p, c) of the functions at coords, the rest included."""
        mean, variance = belief.at(self.rows(coords))
        return (self.mean(coords) + mean.unflatten(-1, (-1, self.c)),
                self.rest(coords) + variance.unflatten(-1, (-1, self.c)))


class LatentMeasurement(nn.Module):
    """A latent z of k numbers as a linear measurement of the weights: z = middle + rows a + e, e uncorrelated.

    Of a noisy latent z + σ·noise it gives the best linear answer, given what else is believed of a.
    """

    def __init__(self, k: int, rank: int):
        super().__init__()
        for name, start in (("middle", torch.zeros(k)), ("matrix", torch.zeros(k, rank)), ("own", torch.ones(k))):
            self.register_buffer(name, start)

    @torch.no_grad()
    def calibrate(self, weights: Tensor, latents: Tensor) -> None:
        """Regress latents (b, k) on weights a (b, r) of the same functions."""
        a, z = weights.double(), latents.double()
        a, middle = torch.cat([a, torch.ones_like(a[:, :1])], 1), z.mean(0)
        found = torch.linalg.lstsq(a, z - middle).solution
        own = (z - middle - a @ found).square().sum(0) / max(1, len(z) - a.shape[1])
        self.middle.copy_(middle + found[-1]), self.matrix.copy_(found[:-1].T), self.own.copy_(own.clamp_min(1e-6))

    def condition(self, belief: WeightPosterior, noisy: Tensor, sigma: Tensor) -> tuple[WeightPosterior, Tensor, Tensor]:
        """Given noisy latents (n, k) at sigma () or (n,) and what is believed (of each, or of one function that they all
        stand for): what is then believed, and the mean and spread, (n, k) and (n or 1, k), of the clean latent."""
        variance = torch.as_tensor(sigma, dtype=noisy.dtype, device=noisy.device).reshape(-1, 1).square()
        belief = belief.measured(self.matrix, noisy - self.middle, self.own + variance)
        expected, wide = belief.at(self.matrix)
        share = self.own / (self.own + variance)                         # of the surprise that is the latent's own
        clean = self.middle + expected + share * (noisy - self.middle - expected)
        return belief, clean, ((1 - share).square() * wide + share * variance).sqrt()
