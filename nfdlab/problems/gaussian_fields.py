"""`gp1d`, `gp2d`, `powerlaw2d`, `styles2d`: Gaussian fields of one kernel, and a mixture of three. Exact posteriors."""

from dataclasses import dataclass
from functools import cached_property
from math import pi
from typing import ClassVar

from ..core.checks import require_number
from ..core.types import ProblemCard
from ..exact.gaussian import Gaussian
from ..exact.kernels import power_law, squared_exponential, striped
from ..exact.mixture import Mixture
from ..exact.normal import Normal
from .base import ExactProblem

HARD = "Nothing but the width of the band: every answer is known, so any shortfall is the model's."
SOURCE = "Rasmussen & Williams 2006, ch. 2 and eq. 4.9"


class _SquaredExponential(ExactProblem):
    def __post_init__(self):
        require_number(self.lengthscale, "lengthscale", 0.04 if self.d == 1 else 0.15, 10.0)

    @cached_property
    def prior(self) -> Gaussian:
        """The field as basis and Gaussian weights."""
        basis, k = squared_exponential(self.lengthscale, self.d)
        return Gaussian(basis, self.d, Normal.standard(k))


@dataclass(frozen=True)
class GP1D(_SquaredExponential):
    """Smooth curves; `lengthscale` from 0.04, a hill's width in units of the box [-1, 1]."""

    card: ClassVar[ProblemCard] = ProblemCard(
        name="gp1d", title="A smooth Gaussian field in 1D", equation="f ~ GP(0, exp(-r^2 / 2 l^2))", domain="[-1, 1]^1",
        units="standard deviations", axes=("x",), hard=HARD, source=SOURCE,
        exact="Gaussian, in the weights of a cosine basis")
    d: ClassVar[int] = 1
    lengthscale: float = 0.2


@dataclass(frozen=True)
class GP2D(_SquaredExponential):
    """Smooth surfaces; `lengthscale` from 0.15, a hill's width in units of the box [-1, 1]^2."""

    card: ClassVar[ProblemCard] = ProblemCard(
        name="gp2d", title="A smooth Gaussian field in 2D", equation="f ~ GP(0, exp(-r^2 / 2 l^2))", domain="[-1, 1]^2",
        units="standard deviations", axes=("x", "y"), hard=HARD, source=SOURCE,
        exact="Gaussian, in the weights of a cosine basis")
    d: ClassVar[int] = 2
    lengthscale: float = 0.3


@dataclass(frozen=True)
class PowerLaw2D(ExactProblem):
    """Rough surfaces with detail at every scale; the larger the `slope`, the smoother."""

    card: ClassVar[ProblemCard] = ProblemCard(
        name="powerlaw2d", title="A Gaussian field with detail at every scale",
        equation="K(D) = sum_k S_k cos(pi/2 k.D) / sum_k S_k, integer k, |k|_inf <= 24, S_k = (1 + |k|^2)^-slope",
        domain="[-1, 1]^2", units="standard deviations", axes=("x", "y"),
        hard="A spectrum that falls as a power: what a coarse grid misses is a fixed share, not nothing, at each finer "
             "scale, and a mean shows none of it.",
        source="turbulence and terrain have such spectra; the finite sum is this kit's",
        exact="Gaussian, in the weights of the sum itself")
    d: ClassVar[int] = 2
    slope: float = 1.75

    def __post_init__(self):
        require_number(self.slope, "slope", 0.5, 6.0)

    @cached_property
    def prior(self) -> Gaussian:
        """The field as basis and Gaussian weights, 2401 of them."""
        basis, k = power_law(self.slope)
        return Gaussian(basis, 2, Normal.standard(k))


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


PROBLEMS = {"gp1d": GP1D, "gp2d": GP2D, "powerlaw2d": PowerLaw2D, "styles2d": Styles2D}
