"""`gp1d`, `gp2d`: smooth Gaussian fields, squared-exponential kernel. The posterior is Gaussian and exact."""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from ..core.checks import require_count, require_number, require_seed
from ..core.fields import Evaluated
from ..core.types import ProblemCard
from ..exact.gaussian import Gaussian
from ..exact.kernels import squared_exponential
from ..exact.normal import Normal
from ..exact.posterior import Exact


def _card(name: str, d: int, axes: tuple[str, ...]) -> ProblemCard:
    return ProblemCard(
        name=name, title=f"A smooth Gaussian field in {d}D",
        equation="f ~ GP(0, exp(-r^2 / 2 l^2))", domain=f"[-1, 1]^{d}", units="standard deviations", axes=axes,
        hard="Nothing but the width of the band: every answer is known, so any shortfall is the model's.",
        source="Rasmussen & Williams 2006, ch. 2 and eq. 4.9", exact="Gaussian, in the weights of a cosine basis")


@dataclass(frozen=True)
class _SquaredExponential:
    d: ClassVar[int]
    c: ClassVar[int] = 1

    def __post_init__(self):
        require_number(self.lengthscale, "lengthscale", 0.04 if self.d == 1 else 0.15, 10.0)

    @cached_property
    def prior(self) -> Gaussian:
        """The field as basis and Gaussian weights."""
        basis, k = squared_exponential(self.lengthscale, self.d)
        return Gaussian(basis, self.d, Normal.standard(k))

    def draw(self, n: int, *, seed: int) -> Evaluated:
        """n fresh functions."""
        return self.prior.draw(require_count(n), seed=require_seed(seed))

    def oracle(self) -> Exact:
        """The exact posterior, Gaussian."""
        return Exact(self.prior)


@dataclass(frozen=True)
class GP1D(_SquaredExponential):
    """Smooth curves; `lengthscale` from 0.04, a hill's width in units of the box [-1, 1]."""

    card: ClassVar[ProblemCard] = _card("gp1d", 1, ("x",))
    d: ClassVar[int] = 1
    lengthscale: float = 0.2


@dataclass(frozen=True)
class GP2D(_SquaredExponential):
    """Smooth surfaces; `lengthscale` from 0.15, a hill's width in units of the box [-1, 1]^2."""

    card: ClassVar[ProblemCard] = _card("gp2d", 2, ("x", "y"))
    d: ClassVar[int] = 2
    lengthscale: float = 0.3


PROBLEMS = {"gp1d": GP1D, "gp2d": GP2D}
