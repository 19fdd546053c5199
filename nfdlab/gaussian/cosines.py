"""A Gaussian of cosines, measured on draws: all frequencies are known, only their mean and covariance are not.

Karhunen-Loève directions have to be estimated from draws, and of few functions they are those of these functions. The
cosines cos(π k (x + 1) / 2) are the same for all, and near the directions of any stationary random function (Ahmed,
Natarajan & Rao 1974, DCT): those of largest variance are kept, with the full covariance among them.
"""

from math import pi, prod

import torch
from torch import Tensor

from ..core import single
from ..core.checks import require
from ..core.grid import cell_centres
from .karhunen_loeve import LEAST_NOISE, GaussianExpansion, WeightPosterior

FINEST = {1: 64, 2: 32, 3: 24, 4: 12}        # frequencies an axis of which the cosines are chosen, by dimension
LEAST_VARIANCE = 1e-6                        # added to that of each cosine, in units of the mean of all


def cosine_table(x: Tensor, side: int) -> Tensor:
    """cos(π k (x + 1) / 2) for k = 0 … side − 1 at x (…), orthonormal at the centres of `side` cells: (…, side)."""
    k = single.arange(side).to(x)
    return torch.cos(pi / 2 * k * (x[..., None] + 1)) * ((1 + (k > 0).to(x)) / side).sqrt()


class CosineGaussian(GaussianExpansion):
    """Gaussian of the coefficients of `rank` products of cosines over [-1, 1]^d, one channel each; the rest is white.

    `shape`: points an axis of the grid that it is measured on. Weights a have the covariance I; the coefficients are
    `root` a. Before `calibrate` the mean is 0, coefficients have no variance and the residual has variance 1.
    """

    def __init__(self, d: int, c: int, shape: tuple[int, ...], rank: int):
        super().__init__()
        require(rank < c * prod(shape), must=f"rank: below c times the points of the grid, {c * prod(shape)}.",
                came=rank, why="There are not more cosines than values.", do="A finer grid or a smaller rank.")
        self.d, self.c, self.rank, self.measured = d, c, rank, shape
        self.register_buffer("centre", single.zeros(rank))                   # mean of the weights
        self.register_buffer("root", single.zeros(rank, rank))               # of the coefficients' covariance
        self.register_buffer("left", single.ones(c))                         # variance of what they leave
        self.register_buffer("chosen", torch.zeros(rank, 1 + d, dtype=torch.int64))      # channel, then frequencies

    @property
    def places(self) -> Tensor:
        """The points of the grid that it is measured on: (p, d)."""
        return cell_centres(self.measured)

    @torch.no_grad()
    def calibrate(self, draws: Tensor, *, seed: int = 0) -> None:
        """Measure from values (b, p, c) of fresh functions at `places`; b above the rank. Nothing is random here."""
        require(len(draws) > self.rank, must=f"draws: more than the rank {self.rank}.", came=draws,
                why="A covariance is measured from them.", do="Pass a few thousand.")
        found = draws.mT.unflatten(-1, self.measured)
        for side in self.measured:
            centres = cell_centres((side,)).to(draws)[:, 0]
            found = torch.tensordot(found, cosine_table(centres, side), ([2], [0]))      # axes turn: back in order
        flat = found.flatten(1)
        variance = flat.var(0)
        best = variance.topk(self.rank).indices
        chosen = torch.stack(torch.unravel_index(best, (self.c, *self.measured)), 1)
        cov = torch.cov(flat[:, best].double().T)
        cov.diagonal().add_(LEAST_VARIANCE * cov.diagonal().mean())
        # what is left of the mean square, at each of the grid's points alike
        square = flat.square().mean(0)
        square[best] = 0
        self.left.copy_(square.unflatten(0, (self.c, -1)).sum(1) / prod(self.measured))
        root, mean = torch.linalg.cholesky(cov), flat[:, best].double().mean(0)
        self.chosen.copy_(chosen), self.root.copy_(root)
        self.centre.copy_(torch.linalg.solve_triangular(root, mean[:, None], upper=False)[:, 0])

    def cosines(self, coords: Tensor) -> Tensor:
        """The chosen cosines at coords (…, p, d), orthonormal on the grid: (…, p c, rank), channels fastest; each is 0
        in the channels that are not its own."""
        out, at = torch.ones((), dtype=coords.dtype, device=coords.device), self.chosen.T
        for axis, side in enumerate(self.measured):
            picked = torch.arange(side, device=coords.device)[:, None] == at[1 + axis]
            out = out * (cosine_table(coords[..., axis], side) @ picked.to(coords))      # faster than to index
        own = torch.arange(self.c, device=coords.device)[:, None] == at[0]
        return out if self.c == 1 else (out[..., None, :] * own).flatten(-3, -2)

    def on_grid(self, weights: Tensor, shape: tuple[int, ...]) -> Tensor:
        """The functions of weights (b, r) on a grid, without the residual, axis by axis: (b, c, *shape)."""
        found = weights.new_zeros(len(weights), self.c, *self.measured)
        found[(slice(None), *self.chosen.T)] = weights @ self.root.T
        for side, points in zip(self.measured, shape, strict=True):
            at = cell_centres((points,), dtype=weights.dtype).to(weights.device)
            found = torch.tensordot(found, cosine_table(at[:, 0], side), ([2], [1]))      # axes turn: back in order
        return found

    def prior(self, b: int = 1) -> WeightPosterior:
        """The prior of the weights of b functions; their mean is that of the functions."""
        found = super().prior(b)
        return WeightPosterior(found.information + self.centre, found.precision)

    def mean(self, coords: Tensor) -> Tensor:
        """0, since the weights have a mean: (1, p, c)."""
        return coords.new_zeros(1, coords.shape[-2], self.c)

    def residual_variance(self, coords: Tensor) -> Tensor:
        """The variance that the cosines leave, the same everywhere: (1, p, c)."""
        return (self.left + LEAST_NOISE**2).expand(1, coords.shape[-2], self.c)

    def rows(self, coords: Tensor) -> Tensor:
        """Basis functions at coords (p, d) or (b, p, d): (p c, r) or (b, p c, r), channels fastest."""
        return self.cosines(coords) @ self.root
