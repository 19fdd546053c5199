"""Noise to start from: white for latents and grids, smooth where noise must itself be a function of place.

White noise at p points has no limit as p grows; smooth noise is one function seen at p points, so a draw made from it
can be asked again, finer, and stay the same draw.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..core import single
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


class LatticeNoise(nn.Module):
    """Gaussian noise of unit variance at a lattice of `side` points an axis, L z of white normals z (b, c, *[side]*d).

    Its covariance is the product over axes of exp(−|Δ|/lengthscale): as the lattice grows finer it tends to a
    continuous function (the Ornstein-Uhlenbeck process; Rasmussen & Williams 2006, sec. B.2). A lengthscale of 0 is
    white noise.
    """

    def __init__(self, side: int, lengthscale: float = 0.0):
        super().__init__()
        self.white = require_number(lengthscale, "noise_lengthscale", 0.0) == 0
        if not self.white:
            at = torch.arange(side, dtype=torch.float64)
            L = torch.linalg.cholesky(torch.exp(-(at[:, None] - at).abs() * (2 / side / lengthscale)))
            self.register_buffer("L", single.as_tensor(L), persistent=False)
            self.register_buffer("inverse", single.as_tensor(L.inverse()), persistent=False)

    def colour(self, z: Tensor) -> Tensor:
        """White z -> L z."""
        return z if self.white else self._along_axes(z, self.L)

    def whiten(self, x: Tensor) -> Tensor:
        """The inverse of `colour`."""
        return x if self.white else self._along_axes(x, self.inverse)

    @staticmethod
    def _along_axes(x: Tensor, matrix: Tensor) -> Tensor:
        for axis in range(2, x.ndim):
            x = (x.movedim(axis, -1) @ matrix.T).movedim(-1, axis)
        return x
