"""Noise to start from: white for latents and grids, smooth where noise must itself be a function of place.

White noise at p points has no limit as p grows; smooth noise is one function seen at p points, so a draw made from it
can be asked again, finer, and stay the same draw.
"""

from dataclasses import dataclass

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
