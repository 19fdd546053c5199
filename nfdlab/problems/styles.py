"""`styles2d`: a mixture of three Gaussian fields."""

from dataclasses import dataclass
from functools import cached_property
from math import pi
from typing import ClassVar

from ..core.types import ProblemCard
from ..exact.gaussian import Gaussian
from ..exact.kernels import squared_exponential, striped
from ..exact.mixture import Mixture
from ..exact.normal import Normal
from .base import ExactProblem


@dataclass(frozen=True)
class Styles2D(ExactProblem):
    """Broad hills, fine hills or stripes across x, equal odds; no knobs."""

    card: ClassVar[ProblemCard] = ProblemCard(
        name="styles2d", title="Broad hills, fine hills or stripes",
        equation="K is one of three, equal odds: exp(-r^2 / 2 0.5^2); exp(-r^2 / 2 0.15^2); "
                 "exp(-r^2 / 2 0.5^2) cos(4 pi Dx)",
        domain="[-1, 1]^2", units="standard deviations", axes=("x", "y"),
        hard="A few observations must first tell the style; until they do, every draw has to commit to one.",
        source="mixtures of Gaussian processes, e.g. Rasmussen & Ghahramani 2002", exact="a mixture of three Gaussians")
    d: ClassVar[int] = 2

    @cached_property
    def prior(self) -> Mixture:
        """Broad, fine, striped."""
        (broad, k), (fine, j) = squared_exponential(0.5, 2), squared_exponential(0.15, 2)
        return Mixture.equal(Gaussian(broad, 2, Normal.standard(k)), Gaussian(fine, 2, Normal.standard(j)),
                             Gaussian(striped(broad, 4 * pi), 2, Normal.standard(2 * k)))


PROBLEMS = {"styles2d": Styles2D}
