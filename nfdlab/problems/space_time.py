"""`drift1dt`, `two_speed1dt`: waves on a line that fade and drift. Time is the first coordinate."""

from dataclasses import dataclass
from functools import cached_property
from math import pi
from typing import ClassVar

import torch

from ..core.checks import require_number
from ..core.types import ProblemCard
from ..exact.gaussian import Gaussian
from ..exact.kernels import drifting
from ..exact.mixture import Mixture
from ..exact.normal import Normal
from .base import ExactProblem


def drift(modes: int, speed: float) -> Gaussian:
    """Waves k = 0 … modes − 1 with weights (1 + k²)^−1.5 and rates 0.3 + 0.02 k², drifting at `speed`."""
    k = torch.arange(modes, dtype=torch.float64)
    basis, size = drifting((1 + k**2) ** -1.5, 0.3 + 0.02 * k**2, speed)
    return Gaussian(basis, 2, Normal.standard(size))


EQUATION = ("s = 1.6(t + 1), phi = pi x; K = sum_k w_k (1 + l_k |Ds|) exp(-l_k |Ds|) cos(k Dphi - speed k Ds), "
            "w_k ~ (1 + k^2)^-1.5 summing to 1, l_k = 0.3 + 0.02 k^2")


@dataclass(frozen=True)
class Drift1DT(ExactProblem):
    """A pattern that drifts at `speed` radians of phase per unit of s and decorrelates slowly."""

    card: ClassVar[ProblemCard] = ProblemCard(
        name="drift1dt", title="A pattern that drifts and fades", equation=f"{EQUATION}, k = 0..16",
        domain="[-1, 1]^2, time first, 16 frames", units="standard deviations", axes=("t", "x"),
        hard="Between two frames the pattern has moved on: a mix of the two, as interpolation makes, shows it twice.",
        source="a stochastic advection-diffusion equation, e.g. Sigrist et al. 2015; once differentiable in time here",
        exact="Gaussian, in the weights of a basis within 1e-5 of the kernel")
    d: ClassVar[int] = 2
    speed: float = 1.0

    def __post_init__(self):
        require_number(self.speed, "speed", -10.0, 10.0)

    prior = cached_property(lambda self: drift(17, self.speed))


@dataclass(frozen=True)
class TwoSpeed1DT(ExactProblem):
    """Drift forwards or backwards, one turn in ten frames, equal odds; no knobs."""

    card: ClassVar[ProblemCard] = ProblemCard(
        name="two_speed1dt", title="A pattern that drifts one way or the other",
        equation=f"{EQUATION}, k = 0..3, speed = +pi or -pi, equal odds",
        domain="[-1, 1]^2, time first, 16 frames", units="standard deviations", axes=("t", "x"),
        hard="The wagon wheel: at every fifth frame both directions look the same, at every second, third or seventh "
             "they do not. The mean of the two is a standing ghost.",
        source="aliasing, the sampling theorem's reverse", exact="a mixture of two Gaussians")
    d: ClassVar[int] = 2

    prior = cached_property(lambda self: Mixture.equal(drift(4, pi), drift(4, -pi)))


PROBLEMS = {"drift1dt": Drift1DT, "two_speed1dt": TwoSpeed1DT}
