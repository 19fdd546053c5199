"""Noise to start from: white for latents and grids, smooth where noise must itself be a function of place.

White noise at p points has no limit as p grows; smooth noise is one function seen at p points, so a draw made from it
can be asked again, finer, and stay the same draw.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.checks import require_count, require_number
from ..core.fields import EvaluatedFields
from ..core.rng import normals
from ..exact.gaussian import Gaussian
from ..exact.kernels import squared_exponential
from ..exact.normal import Normal


def white(n: int, shape: tuple[int, ...], *, seed: int) -> Tensor:
    """(n, *shape) independent standard normals, draw i from its own stream."""
    return normals(seed, n, tuple(shape), "white")


@dataclass(frozen=True)
class SmoothNoise:
    """Unit-variance Gaussian noise with a squared-exponential covariance: a function of place."""

    lengthscale: float
    d: int

    def draw(self, n: int, *, seed: int) -> EvaluatedFields:
        """n noise functions, draw i from its own stream."""
        require_number(self.lengthscale, "lengthscale", 0.0, open_low=True)
        basis, k = squared_exponential(self.lengthscale, self.d)
        return Gaussian(basis, self.d, Normal.standard(k)).draw(require_count(n), seed=seed)


@dataclass(frozen=True)
class GridNoise:
    """White noise on the corners of a grid, interpolated linearly and scaled to unit variance everywhere.

    Cheaper than SmoothNoise in 2D and space-time; its covariance reaches one cell.
    """

    cells: int
    d: int

    def draw(self, n: int, *, seed: int) -> EvaluatedFields:
        """n noise functions, draw i from its own stream."""
        require_count(self.cells, "cells"), require_count(n)
        corners = normals(seed, n, (self.cells + 1,) * self.d, "grid")
        return EvaluatedFields(lambda coords, part: self._interpolate(corners[part], coords), n, self.d)

    def _interpolate(self, corners: Tensor, coords: Tensor) -> Tensor:
        k = len(corners)
        flat = corners.reshape(k, -1).to(coords)
        place = (coords.expand(k, *coords.shape[-2:]) + 1) / 2 * self.cells
        low = place.floor().clamp(0, self.cells - 1)
        part = place - low
        total, power = 0, 0
        for corner in torch.cartesian_prod(*[torch.tensor([0, 1])] * self.d).reshape(-1, self.d):
            weight = torch.where(corner.bool(), part, 1 - part).prod(-1)
            index = torch.zeros(k, coords.shape[-2], dtype=torch.long)
            for axis in range(self.d):
                index = index * (self.cells + 1) + (low[..., axis].long() + corner[axis])
            total, power = total + weight * flat.gather(1, index), power + weight.square()
        return (total / power.sqrt())[..., None]
